/** How the benchmark starts every process that it measures or measures with. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';

/**
 * No `NODE_OPTIONS`, no coverage, no list of certificates, which takes 50 ms of each start: what whoever runs the benchmark has set would be
 * measured too. The descriptor limit goes to its hard maximum, for all alike, since thousands of connections need it. The process id is the
 * program's own.
 */
const SCRIPT =
  'unset NODE_OPTIONS NODE_V8_COVERAGE NODE_EXTRA_CA_CERTS; ulimit -n "$(ulimit -Hn)"; exec "$@"';

export function spawnPlain(
  file: string,
  args: readonly string[],
  folder?: string,
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn('sh', ['-c', SCRIPT, 'sh', file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(folder === undefined ? {} : { cwd: folder }),
  });
}
