/**
 * The load generator: one process per measurement. `node load-generator.js '<job as JSON>'` prints the result as JSON.
 */
import { flood, windowed } from './closed-loop.js';
import { idle } from './idle.js';
import { parseJob, type FailedResult, type LoadJob, type LoadResult } from './load-job.js';
import { paced } from './open-loop.js';
import { Run } from './run.js';

function perform(job: LoadJob, run: Run): Promise<LoadResult> {
  switch (job.kind) {
    case 'flood':
      return flood(job, run);
    case 'window':
      return windowed(job, run);
    case 'paced':
      return paced(job, run);
    case 'idle':
      return idle(job, run);
  }
}

const run = new Run();
const result = await Promise.race([perform(parseJob(process.argv[2] ?? ''), run), run.failed]).catch(
  (error: unknown): FailedResult => ({
    kind: 'failed',
    reason: error instanceof Error ? error.message : String(error),
  }),
);
// Sockets and threads of a failed run may still be open: the answer is all that is wanted of this process.
process.stdout.write(JSON.stringify(result), () => process.exit(0));
