import type { World } from './command.js';
import { ExitCode } from './exit-code.js';

/**
 * Writes what comes, as fast as it is taken. A reader that goes away (`| head`) has what it wanted: the process ends with 0; a disk that
 * is full is another matter.
 * @throws what `chunks` does, after everything before it is written
 */
export async function writeChunks(
  { stdout, stderr, process }: Pick<World, 'stdout' | 'stderr' | 'process'>,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  // Before the listener of the process, which ends it with 141.
  stdout.prependListener('error', ended);
  try {
    for await (const chunk of chunks) if (!stdout.write(chunk)) await drained(stdout);
    // What is wrong with the last write is told in the next turn.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    stdout.removeListener('error', ended);
  }

  function ended(error: Error & { readonly code?: string }): void {
    if (error.code === 'EPIPE') process.exit(ExitCode.done);
    stderr.write(`sprawl-edge: cannot write to standard output: ${error.message}\n`);
    process.exit(ExitCode.failed);
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
