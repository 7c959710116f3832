/**
 * Is loaded into the process of the gateway before it (`node --import`), and is no part of it: at SIGUSR2 garbage is collected, and a line of the
 * log says what is held; at SIGWINCH a heap snapshot is written, and a line names its file. The heap is that of the main thread; those of other
 * threads are in the resident memory alone.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { getHeapCodeStatistics, setFlagsFromString, writeHeapSnapshot } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/** What was only reachable from a finalizer goes with the second. */
const COLLECTIONS = 2;

if (isMainThread) {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('garbage cannot be collected');
  const say = (line: object): void => {
    process.stderr.write(`${JSON.stringify({ level: 'info', ...line })}\n`);
  };
  process.on('SIGUSR2', () => {
    for (let times = 0; times < COLLECTIONS; times++) collect();
    const { heapUsed: heapBytes, external: bufferBytes } = process.memoryUsage();
    const { code_and_metadata_size, bytecode_and_metadata_size } = getHeapCodeStatistics();
    const codeBytes = code_and_metadata_size + bytecode_and_metadata_size;
    say({ message: 'collected', heapBytes, codeBytes, bufferBytes });
  });
  process.on('SIGWINCH', () => {
    const file = join(tmpdir(), `sprawl-soak-${process.pid}.heapsnapshot`);
    say({ message: 'heap snapshot', file: writeHeapSnapshot(file) });
  });
}
