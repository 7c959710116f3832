/** A gateway that is lost and made again from its archive finds the messages that the lost one found, each once. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { type Config, parseConfig } from '../../lib/config/index.js';
import type { ArchivesStatus } from '../../lib/contracts/archive-status.js';
import { NO_SESSIONS } from '../../lib/contracts/no-sessions.js';
import { createGateway } from '../../lib/gateway.js';
import { realClock, realTimers } from '../../lib/real-clock.js';
import { createDiskStore } from '../../storage/index.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import { runHere } from './cli-in-process.js';

const SOON_MS = 20_000;
const TOPICS = ['site/a', 'site/b', 'site/c', 'site/gone'];

function configOf(dataDir: string, target: string): Config {
  return parseConfig({
    overrides: {
      ...{ dataDir, listeners: { mqttPort: 0, wsPort: false }, http: { port: 0 }, mesh: { site: 'harbour' } },
      archive: { topics: ['#'], fileMaxAgeS: 1, target },
    },
  });
}

async function open({ dataDir, storage, limits }: Config): Promise<ReturnType<typeof createDiskStore>> {
  const store = createDiskStore(
    { dataDir, ...storage, ...limits },
    {
      ...{ clock: realClock, continueClock: () => undefined, timers: realTimers, logger: nullLogger },
      ...{ schedule: setImmediate, randomBytes },
    },
  );
  await store.open(NO_SESSIONS);
  return store;
}

/** What can be looked up in a folder that no gateway uses, topic by topic, oldest first. */
async function lookUp(config: Config, fromMs = 0, toMs = 2 ** 47): Promise<string[]> {
  const store = await open(config);
  const found: string[] = [];
  for (const topic of TOPICS)
    for (const { qos, retain, payload, properties } of await store.find(topic, fromMs, toMs, 1000))
      found.push(
        [topic, qos, retain, Buffer.from(payload), Buffer.from(properties).toString('hex')].join(' '),
      );
  await store.close();
  return found;
}

async function retainedOf(config: Config): Promise<string[]> {
  const store = await open(config);
  const found: string[] = [];
  store.retained.forEach(({ topic, payload }) => found.push(`${topic} ${Buffer.from(payload)}`));
  await store.close();
  return found.sort();
}

interface Running {
  readonly port: number;
  archived(rows: number): Promise<void>;
  stop(): Promise<void>;
}

async function start(t: Test, config: Config): Promise<Running> {
  const gateway = await createGateway({ config, logger: nullLogger });
  await gateway.start();
  const stop = (): Promise<void> => gateway.stop({ drainTimeoutMs: 0 });
  t.teardown(stop);
  const url = `http://127.0.0.1:${gateway.addresses['http']?.port ?? 0}/api/v1/archive`;
  const archived = async (rows: number): Promise<void> => {
    const deadline = performance.now() + SOON_MS;
    for (;;) {
      const status = (await (await fetch(url)).json()) as ArchivesStatus;
      if (status.rows === rows && status.state === 'idle') return;
      if (performance.now() > deadline) throw new Error(`not soon: ${rows} rows: ${JSON.stringify(status)}`);
      await elapse(20);
    }
  };
  return { port: gateway.addresses['mqtt']?.port ?? 0, archived, stop };
}

t.setTimeout(120_000);

t.test('what was looked up before a gateway was lost is found after it was restored', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-history-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const target = pathToFileURL(join(folder, 'archive')).href;
  const config = configOf(join(folder, 'data'), target);
  const first = await start(t, config);
  const client = await RawClient.connect(t, first.port, { version: 5 });
  for (let n = 1; n <= 40; n++) {
    const properties =
      n % 4 === 0 ? { properties: { contentType: 'text/plain', correlationData: `${n}` } } : {};
    await client.publish(`site/${'abc'[n % 3]}`, `${n}`, {
      ...{ qos: (n % 4 === 3 ? 0 : 1 + (n % 2)) as 0 | 1 | 2, retain: n % 5 === 0, ...properties },
    });
  }
  await client.publish('site/gone', 'soon', { qos: 1, retain: true });
  await client.publish('site/gone', '', { qos: 1, retain: true });
  const half = Date.now();
  await elapse(2);
  await client.publish('site/a', 'the last one', { qos: 1 });
  await client.disconnect();
  await first.archived(43);
  await first.stop();
  const before = await lookUp(config);
  const beforeHalf = await lookUp(config, 0, half);
  t.ok(before.length > 30 && beforeHalf.length === before.length - 1);

  renameSync(join(folder, 'data'), join(folder, 'lost'));
  const restore = (...args: string[]) =>
    runHere(['restore', '--from-archive', '--target', target, '--data-dir', config.dataDir, ...args]);
  t.match(await restore('--history', 'long'), { code: 2, err: /--history must be how long, such as/ });
  t.match(await restore('--history', '0s'), {
    code: 0,
    out: new RegExp(`: 3 retained messages, and 0 that can be looked up, of 43 messages\n$`),
  });
  t.same(
    (await lookUp(config)).map((line) => line.split(' ')[0]),
    ['site/a', 'site/b', 'site/c'],
    'what is retained alone',
  );
  rmSync(config.dataDir, { recursive: true });
  // The power failed while it was restored.
  await restore();
  const origin = readdirSync(join(folder, 'archive/manifest'))[0] ?? '';
  writeFileSync(
    join(config.dataDir, 'restoring.json'),
    `${JSON.stringify({ source: `${target} ${origin}` })}\n`,
  );
  await t.rejects(start(t, config), { code: 'BACKUP_UNFINISHED' });
  t.match(await restore(), {
    code: 0,
    out: new RegExp(`: 3 retained messages, and ${before.length} that can be looked up, of 43 messages\n$`),
  });
  t.same(await lookUp(config), before);
  t.same(await lookUp(config, 0, half), beforeHalf, 'at the time at which they came');
  t.same(await retainedOf(config), ['site/a 30', 'site/b 40', 'site/c 35']);
  t.match(await runHere(['storage', 'verify', '--data-dir', config.dataDir]), { code: 0 });

  const second = await start(t, config);
  const reader = await RawClient.connect(t, second.port, { version: 5 });
  await reader.subscribe('#', { qos: 2 });
  await reader.publish('site/a', 'new', { qos: 1 });
  await second.archived(1);
  await reader.ping();
  const got = reader.received
    .filter(({ type }) => type === 'publish')
    .map(({ topic, payload }) => `${topic} ${payload}`);
  t.same(got.sort(), ['site/a 30', 'site/a new', 'site/b 40', 'site/c 35'], 'nobody gets old messages');
  await second.stop();
  t.same(await lookUp(config), [
    ...before.filter((line) => line.startsWith('site/a')),
    'site/a 1 false new ',
    ...before.filter((line) => !line.startsWith('site/a')),
  ]);
  const cat = await runHere(['archive', 'cat', '--target', target, '--payload-only']);
  t.equal(cat.out.trim().split('\n').length, 44, 'old ones are not archived a second time');
  t.match(await runHere(['archive', 'verify', '--log', '--data-dir', config.dataDir, '--target', target]), {
    code: 0,
    out: /note: .* the archive begins behind position \d+: (.*\n)*the log of .*: one message is in the archive/,
  });
});
