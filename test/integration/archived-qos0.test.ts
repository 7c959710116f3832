/** QoS 0 of archived topics, from real clients to the log of a gateway that is killed, or stopped in order. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { OwnMessages } from '../../lib/contracts/streams.js';
import { realClock, realTimers } from '../../lib/real-clock.js';
import { createDiskStore } from '../../storage/index.js';
import { startTestGateway } from '../interop/gateway.js';
import { RecordedSessions } from '../support/disk-store.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import { CliProcess } from './cli-process.js';

const ANY_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0'];
const MIB = 1_048_576;

async function started(t: Test, dataDir: string): Promise<{ gateway: CliProcess; port: number }> {
  const gateway = new CliProcess(['up', ...ANY_PORTS, '--allow-anonymous'], {
    SPRAWL_DATA_DIR: dataDir,
    SPRAWL_ARCHIVE__TOPICS: '["meter/#"]',
  });
  t.teardown(() => gateway.kill());
  await gateway.told('err', 'ready');
  return { gateway, port: Number(/listener=mqtt host=\S+ port=(\d+)/.exec(gateway.err)?.[1]) };
}

/** What an archiver finds in the folder of a gateway that is stopped. */
async function readOwn(dataDir: string): Promise<OwnMessages> {
  const store = createDiskStore(
    {
      ...{ dataDir, memoryTopics: [], commitDelayMs: 0, segmentMaxBytes: MIB, checkpointEveryBytes: MIB },
      ...{ snapshotEveryBytes: MIB, keepMaxBytes: MIB, keepMaxAgeS: 3600, diskMaxBytes: 1 << 30 },
      ...{ diskReserveBytes: 0, pendingMaxBytes: MIB },
    },
    {
      ...{ clock: realClock, continueClock: () => undefined, timers: realTimers, logger: nullLogger },
      ...{ schedule: setImmediate, randomBytes: (size) => new Uint8Array(size) },
    },
  );
  await store.open(new RecordedSessions());
  const own = await new Promise<OwnMessages>((resolve) => store.readOwn(1, MIB, resolve, { passed: true }));
  await store.close();
  return own;
}

t.setTimeout(60_000);

t.test('what is kept in memory, and what the gateway says of itself, is not archived', async (t) => {
  const { gateway } = await startTestGateway(t, {
    archive: { topics: ['meter/#', '+/state', '$SYS/#', '$own/#'] },
    storage: { memoryTopics: ['meter/fast/#'] },
  });
  const topics = ['meter', 'meter/1', 'pump/state', '$own/x', 'other', 'meter/fast/1', '$SYS/broker/uptime'];
  t.same(
    topics.filter((topic) => gateway.lanes.router.resolve(topic).isArchived),
    ['meter', 'meter/1', 'pump/state', '$own/x'],
  );
});

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  t.test(`after ${signal} the log has QoS 0 of archived topics, and nobody gets it again`, async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sprawl-archived-'));
    t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
    const { gateway, port } = await started(t, dataDir);
    const durable = { version: 5, clientId: 'durable', clean: false } as const;
    const properties = { sessionExpiryInterval: 3600 };
    const subscriber = await RawClient.connect(t, port, { ...durable, properties });
    await subscriber.subscribe('#', { qos: 1 });
    const publisher = await RawClient.connect(t, port, { version: 4, clientId: 'pump' });
    const startMs = Date.now();
    for (let n = 0; n < 5; n++) publisher.sendPublish('meter/1', `run ${n}`);
    publisher.sendPublish('other', 'not archived');
    publisher.sendPublish('meter/state', 'kept', { retain: true });
    for (let n = 0; n < 5; n++) await subscriber.expectPublish('meter/1', `run ${n}`);
    await subscriber.expectPublish('other', 'not archived');
    await subscriber.expectPublish('meter/state', 'kept');
    // What is acknowledged is in the log behind it; a clean stop needs nothing of the kind.
    if (signal === 'SIGKILL') await publisher.publish('other', 'acknowledged', { qos: 1 });
    const endMs = Date.now();
    gateway.child.kill(signal);
    await gateway.ended;

    const again = await started(t, dataDir);
    const resumed = await RawClient.connect(t, again.port, { ...durable, properties });
    const late = await RawClient.connect(t, again.port, { version: 4 });
    await late.publish('other', 'the end', { qos: 1 });
    if (signal === 'SIGKILL') await resumed.expectPublish('other', 'acknowledged');
    await resumed.expectPublish('other', 'the end');
    const topics = resumed.received.filter(({ type }) => type === 'publish').map(({ topic }) => topic);
    t.same(topics, signal === 'SIGKILL' ? ['other', 'other'] : ['other'], 'and nothing else');
    again.gateway.child.kill('SIGTERM');
    t.equal((await again.gateway.ended).code, 0);

    const { messages, wallMs } = await readOwn(dataDir);
    const found = messages.map(
      ({ topic, payload, qos, publisher: by }) => `${topic} ${Buffer.from(payload).toString()} ${qos} ${by}`,
    );
    t.same(
      found.filter((line) => line.includes(' 0 ')),
      [...[0, 1, 2, 3, 4].map((n) => `meter/1 run ${n} 0 pump`), 'meter/state kept 0 pump'],
    );
    const times = wallMs.slice(0, 6);
    t.ok(
      times.every((ms) => ms >= startMs - 1 && ms <= endMs + 1),
      `${String(times)} from ${startMs} to ${endMs}`,
    );
  });
}
