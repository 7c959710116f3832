/** Runs one cell: a fresh server, the load generator in a process of its own, the server gone again. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startFormation, type FormationName } from './formations.js';
import type { LoadJob } from './load-job.js';
import { spawnPlain } from './plain-process.js';
import { settledResidentBytes } from './process-usage.js';
import { parseSample, type Cell, type JobPlan, type Sample } from './row.js';
import { TARGETS, startTarget, type RunningServer } from './targets.js';

const GENERATOR = fileURLToPath(new URL('./load-generator.js', import.meta.url));
const PROBES = fileURLToPath(new URL('./probes/main.js', import.meta.url));
const ROUTE = fileURLToPath(new URL('./route.js', import.meta.url));
/** What a run may take beyond its warm-up and window: connecting thousands, filling a socket, draining. */
const OVERTIME_MS = 120_000;

const failed = (reason: string): Sample => ({ kind: 'failed', reason });

/** Never throws: what goes wrong is the sample. `settleMs`: how long memory may take to stand still. */
export async function measureCell(cell: Cell, settleMs: number): Promise<Sample> {
  const { plan } = cell;
  if (plan !== 'start' && plan.kind === 'route') {
    return answerOf([ROUTE, String(plan.seconds)], plan.seconds * 4_000 + OVERTIME_MS);
  }
  if (plan !== 'start' && plan.kind === 'probe') {
    return answerOf([PROBES, plan.name, ...plan.numbers.map(String)], plan.timeoutMs);
  }
  if (plan !== 'start' && cell.formation !== undefined) return measureFormation(cell.formation, plan);
  let server: RunningServer;
  try {
    server = await startTarget(TARGETS[cell.target]);
  } catch (error) {
    return failed(reasonOf(error));
  }
  try {
    const { pid, port, readyMs } = server;
    if (plan === 'start') {
      return { kind: 'start', readyMs, idleBytes: await settledResidentBytes(pid, settleMs) };
    }
    const job: LoadJob = { ...plan, port, serverPid: pid };
    return await generate(job);
  } finally {
    await server.stop();
  }
}

async function measureFormation(name: FormationName, plan: JobPlan): Promise<Sample> {
  try {
    const { first, second, others, stop } = await startFormation(name);
    try {
      return await generate({
        ...plan,
        port: first.port,
        subscriberPort: second.port,
        serverPid: first.pid,
        otherPids: [second, ...others].map(({ pid }) => pid),
      });
    } finally {
      await stop();
    }
  } catch (error) {
    return failed(reasonOf(error));
  }
}

function generate(job: LoadJob): Promise<Sample> {
  return answerOf([GENERATOR, JSON.stringify(job)], job.warmUpMs + job.measureMs + OVERTIME_MS);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Runs a script of this folder and parses what it prints; whatever else happens is a failed sample. */
async function answerOf(args: readonly string[], timeoutMs: number): Promise<Sample> {
  const child = spawnPlain(process.execPath, args);
  let output = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const timeout = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  await once(child, 'close');
  clearTimeout(timeout);
  try {
    return parseSample(output);
  } catch {
    return failed(`no result. ${complaint.slice(-500)}`.trim());
  }
}
