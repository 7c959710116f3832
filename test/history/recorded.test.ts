/** A history recorded against the gateway passes; the same with one mistake in it does not. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { elapse } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import { checkHistory } from './checker.js';
import type { EventQoS, Mid } from './event.js';
import { HistoryFiles } from './history-reader.js';
import { HistoryWriter, MemoryHistory } from './history-writer.js';
import { HistoryIndex, MUTATIONS } from './mutations.js';
import { DEFAULT_OPTIONS, type CheckOptions } from './options.js';
import { RecordingClient, type RecordingClientOptions } from './recording-client.js';

/** Everything happens within some seconds here, so that nothing may take as long as in a long run. */
const OPTIONS: CheckOptions = {
  ...DEFAULT_OPTIONS,
  settleMs: 200,
  takeoverMs: 800,
  willLateMs: 900,
  retainedMs: 200,
  quiescenceMs: 100,
};
const TOPICS = ['a/1', 'a/2', 'b'] as const;

/** mosquitto 2.0.11 ends the older connection without a word, which C9 does not let pass. */
const TELLS_OF_TAKEOVER = target === 'gateway';

type Changes = Partial<RecordingClientOptions>;

/** Which messages a client has received. */
class Inbox {
  readonly seen = new Set<string>();
  take(mid: Mid | null): void {
    if (mid !== null) this.seen.add(`${mid.pub}/${mid.seq}`);
  }
}

t.test('the broker', async (t) => {
  const { port } = await startServer(t);
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-history-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const paths = ['publishers', 'subscribers'].map((name) => join(folder, `${name}.jsonl`));
  const [publishing, subscribing] = paths.map((path) => new HistoryWriter(path, 'recorded'));
  if (publishing === undefined || subscribing === undefined) throw new Error('two histories');
  const clients: RecordingClient[] = [];
  const client = (history: HistoryWriter, clientId: string, changes: Changes = {}): RecordingClient => {
    const actor = changes.actor ?? clientId;
    const all = { history, actor, publisher: clients.length, clientId, endpoint: { port }, ...changes };
    const made = new RecordingClient(all);
    clients.push(made);
    made.start();
    return made;
  };

  const inbox = new Inbox();
  const publishers = [
    client(publishing, 'p5', { inflightMax: 8 }),
    client(publishing, 'p4', { version: 4, inflightMax: 8 }),
  ];
  // It breaks off while its window is full.
  const breaks = new Set([50, 250, 400]);
  const all: RecordingClient = client(subscribing, 'all', {
    receiveMaximum: 20,
    onMessage: (mid) => {
      inbox.take(mid);
      if (breaks.delete(inbox.seen.size)) all.cut();
    },
  });
  const some = client(subscribing, 'some', { version: 4 });
  const members = [client(subscribing, 'g1'), client(subscribing, 'g2', { version: 4 })];
  const warden = client(subscribing, 'warden');
  await Promise.all([
    all.subscribe('#', { qos: 2 }),
    some.subscribe('a/+', { qos: 1 }),
    some.subscribe('a/1', { qos: 2 }),
    ...members.map((member) => member.subscribe('$share/g/a/+', { qos: 2 })),
    warden.subscribe('will/#', { qos: 1 }),
  ]);

  let published = 0;
  const burst = async (disturb: () => void): Promise<string[]> => {
    const outcomes = publishers.flatMap((publisher) =>
      Array.from({ length: 90 }, (_, index) => {
        const qos = ([0, 1, 2] as const)[index % 3] as EventQoS;
        published += qos > 0 ? 1 : 0;
        const topic = TOPICS[Math.floor(index / 3) % 3] ?? 'b';
        return publisher.publish({ topic, qos, retain: index % 10 === 0, paddingBytes: index });
      }),
    );
    disturb();
    return Promise.all(outcomes);
  };
  const outcomes = [
    ...(await burst(() => {})),
    ...(await burst(() => {
      for (const cutOff of [all, some, ...publishers]) cutOff.cut();
    })),
    ...(await burst(() => some.leave())),
  ];
  some.start();
  await some.whenConnected();
  outcomes.push(...(await burst(() => members[0]?.cut())));
  t.equal(outcomes.filter((outcome) => outcome === 'ok').length, published, 'all were taken over');

  // A takeover, and wills of every fate.
  if (TELLS_OF_TAKEOVER) {
    const once = { actor: 'first', reconnectMinMs: 60_000, reconnectMaxMs: 60_000 };
    const first = client(subscribing, 'contested', once);
    await first.whenConnected();
    const second = client(subscribing, 'contested', { actor: 'second' });
    await second.whenConnected();
    await first.until(() => !first.connected);
    first.cut({ comeBack: false });
  }
  const will = { topic: 'will/x', qos: 0 } as const;
  const dying = client(publishing, 'dying', { will });
  const leaving = client(publishing, 'leaving', { will });
  const back = client(publishing, 'back', { will: { ...will, delayS: 1 }, reconnectMinMs: 1 });
  await Promise.all([dying, leaving, back].map((mortal) => mortal.whenConnected()));
  dying.cut({ comeBack: false });
  leaving.leave();
  back.cut();
  const reader = client(subscribing, 'reader');
  await reader.subscribe('#', { qos: 1 });
  // Time in which nothing may happen: the will that was withdrawn, and values that a reader must have.
  await elapse(1200);

  await all.until(() => inbox.seen.size >= published + 1);
  publishing.write('harness', { e: 'drain!' });
  await elapse(OPTIONS.settleMs * 1.5);
  publishing.write('harness', { e: 'drain.' });
  t.same(
    clients.flatMap(({ faults }) => faults),
    [],
    'the broker kept to the protocol',
  );
  for (const one of clients) one.leave();
  for (const history of [publishing, subscribing]) history.close();

  const files = new HistoryFiles(paths);
  await t.test('passes', async (t) => {
    const verdict = checkHistory(files, OPTIONS);
    t.same(
      verdict.violations.map(({ text }) => text),
      [],
    );
    t.equal(verdict.kind, 'pass', verdict.reasons.join());
    const { figures } = verdict;
    t.equal(figures.publishes.ok, published);
    t.equal(figures.obligations.unjudged, 0);
    t.ok(figures.obligations.judged > published, `${figures.obligations.judged} obligations`);
    t.ok(figures.deliveries.stored >= TOPICS.length, `${figures.deliveries.stored} retained`);
    t.ok(figures.deliveries.redelivered + figures.deliveries.duplicates > 0, 'something was sent again');
    t.comment(figures);
  });

  const index = new HistoryIndex([...files], OPTIONS);
  for (const { name, check, places } of MUTATIONS) {
    if (check === 'C9' && !TELLS_OF_TAKEOVER) continue;
    await t.test(`fails ${check} where ${name}`, async (t) => {
      const found = places(index);
      t.ok(found.length > 0, `${found.length} places`);
      const sample = [0, Math.floor(found.length / 2), found.length - 1];
      for (const place of new Set(sample)) {
        const { kind, violations } = checkHistory(found[place]?.() ?? [], OPTIONS);
        t.equal(kind, 'fail');
        t.same([...new Set(violations.map((violation) => violation.check))], [check], `place ${place}`);
        t.ok(
          violations.every(({ witness }) => witness.length > 0),
          'with a witness',
        );
      }
    });
  }
});

t.test('a broker that comes back without its sessions fails C8', async (t) => {
  const [before, after] = [await startServer(t), await startServer(t)];
  const history = new MemoryHistory('recorded');
  const options = { history, endpoint: before, reconnectMinMs: 1 };
  const subscriber = new RecordingClient({ ...options, actor: 's', publisher: 0, clientId: 's' });
  const publisher = new RecordingClient({ ...options, actor: 'p', publisher: 1, clientId: 'p', clean: true });
  for (const client of [subscriber, publisher]) client.start();
  await subscriber.subscribe('a', { qos: 1 });
  const received = (count: number): Promise<void> =>
    subscriber.until(() => history.events.filter(({ e }) => e === 'recv').length === count);
  await publisher.publish({ topic: 'a', qos: 1 });
  await received(1);
  for (const client of [subscriber, publisher]) {
    client.moveTo(after);
    client.cut();
    await client.whenConnected();
  }
  await subscriber.subscribe('b', { qos: 1 });
  await publisher.publish({ topic: 'a', qos: 1 });
  await received(2);
  history.write('harness', { e: 'drain.' });
  for (const client of [subscriber, publisher]) client.leave();
  const { kind, violations } = checkHistory(history.events, { settleMs: 0 });
  t.equal(kind, 'fail');
  t.match(violations, [{ check: 'C8', rule: 'not present where one must be', cids: ['s'] }]);
  t.equal(violations.length, 1);
});
