/** Connections that do nothing: the figure is the resident memory that each adds to the server. */
import { LoadClient } from './load-client.js';
import type { IdleJob, IdleResult } from './load-job.js';
import { settledResidentBytes } from './process-usage.js';
import type { Run } from './run.js';

/** Handshakes under way at once: below the listen backlog of every server here. */
const CONNECT_AT_ONCE = 50;

export async function idle(job: IdleJob, run: Run): Promise<IdleResult> {
  const settleMs = job.measureMs;
  const rssBeforeBytes = await settledResidentBytes(job.serverPid, settleMs);
  const clients: LoadClient[] = [];
  for (let first = 0; first < job.connections; first += CONNECT_AT_ONCE) {
    const count = Math.min(CONNECT_AT_ONCE, job.connections - first);
    const batch = Array.from({ length: count }, (_, i) => openIdle(job, first + i, run));
    clients.push(...(await Promise.all(batch)));
  }
  const rssAfterBytes = await settledResidentBytes(job.serverPid, settleMs);
  for (const client of clients) client.close();
  return {
    kind: 'idle',
    bytesPerConnection: (rssAfterBytes - rssBeforeBytes) / job.connections,
    rssBeforeBytes,
    rssAfterBytes,
  };
}

async function openIdle(job: IdleJob, index: number, run: Run): Promise<LoadClient> {
  const client = new LoadClient({
    port: job.port,
    version: job.version,
    clientId: `bench-idle-${index}`,
    fail: run.fail,
  });
  await client.open();
  if (job.subscribe) await client.subscribe(`idle/${index}`, 0);
  return client;
}
