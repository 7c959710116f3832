/**
 * Is loaded into the process of the gateway before it (`node --import`), and is no part of it: at SIGUSR2 garbage is collected, and a line of the
 * log says what is held. The heap is that of the main thread; those of other threads are in the resident memory alone.
 */
import process from 'node:process';
import { getHeapCodeStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/** What was only reachable from a finalizer goes with the second. */
const COLLECTIONS = 2;

if (isMainThread) {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('garbage cannot be collected');
  process.on('SIGUSR2', () => {
    for (let times = 0; times < COLLECTIONS; times++) collect();
    const { heapUsed: heapBytes, external: bufferBytes } = process.memoryUsage();
    const { code_and_metadata_size, bytecode_and_metadata_size } = getHeapCodeStatistics();
    const codeBytes = code_and_metadata_size + bytecode_and_metadata_size;
    const line = { level: 'info', message: 'collected', heapBytes, codeBytes, bufferBytes };
    process.stderr.write(`${JSON.stringify(line)}\n`);
  });
}
