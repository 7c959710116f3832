import type { World } from './command.js';
import { ExitCode } from './exit-code.js';

/**
 * Writes what comes, as fast as it is taken. A reader that goes away (`| head`) has what it wanted: the process ends with 0.
 * @throws what `chunks` does, after everything before it is written
 */
export async function writeChunks(
  { stdout, process }: Pick<World, 'stdout' | 'process'>,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  // Before the listener of the process, which ends it with 141.
  stdout.prependListener('error', ended);
  try {
    for await (const chunk of chunks) if (!stdout.write(chunk)) await drained(stdout);
  } finally {
    stdout.removeListener('error', ended);
  }

  function ended(): void {
    process.exit(ExitCode.done);
  }
}

function drained(stdout: World['stdout']): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stdout.removeListener('drain', done);
      stdout.removeListener('close', done);
      resolve();
    };
    stdout.on('drain', done);
    stdout.on('close', done);
  });
}
