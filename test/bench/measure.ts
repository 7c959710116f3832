/** Runs one cell: a fresh server, the load generator in a process of its own, the server gone again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseResult, type LoadJob, type LoadResult } from './load-job.js';
import { settledResidentBytes } from './process-usage.js';
import type { Cell, Sample } from './row.js';
import { TARGETS, startTarget, type RunningServer } from './targets.js';

const GENERATOR = fileURLToPath(new URL('./load-generator.js', import.meta.url));
/** What a run may take beyond its warm-up and window: connecting thousands, filling a socket, draining. */
const OVERTIME_MS = 60_000;

const failed = (reason: string): Sample => ({ kind: 'failed', reason });

/** Never throws: what goes wrong is the sample. `settleMs`: how long memory may take to stand still. */
export async function measureCell(cell: Cell, settleMs: number): Promise<Sample> {
  let server: RunningServer;
  try {
    server = await startTarget(TARGETS[cell.target]);
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
  try {
    const { pid, port, readyMs } = server;
    if (cell.plan === 'start') {
      return { kind: 'start', readyMs, idleBytes: await settledResidentBytes(pid, settleMs) };
    }
    return await generate({ ...cell.plan, port, serverPid: pid });
  } finally {
    await server.stop();
  }
}

async function generate(job: LoadJob): Promise<LoadResult> {
  const generator = spawn(process.execPath, [GENERATOR, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let complaint = '';
  generator.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  generator.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const timeout = setTimeout(() => generator.kill('SIGKILL'), job.warmUpMs + job.measureMs + OVERTIME_MS);
  await once(generator, 'close');
  clearTimeout(timeout);
  try {
    return parseResult(output);
  } catch {
    return { kind: 'failed', reason: `the load generator gave no result. ${complaint.slice(-500)}`.trim() };
  }
}
