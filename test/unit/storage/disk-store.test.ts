import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { realClock, realTimers } from '../../../lib/real-clock.js';
import { createDiskStore } from '../../../storage/index.js';
import { RecordedSessions, testStore, testStoreParts } from '../../support/disk-store.js';
import { ioError } from '../../support/faulty-files.js';
import { nullLogger } from '../../support/null-logger.js';
import { str } from '../../support/protocol-bytes.js';

const messageTo = (topic: string, text = 'x'): Message =>
  createMessage({ topic, topicBytes: str(topic), payload: Buffer.from(text), qos: 1, retain: false });

t.test('topics that are kept in memory are in no log', async (t) => {
  const settings = {
    dataDir: t.testdir(),
    memoryTopics: ['fast/#', 'a/+'],
    ...{
      commitDelayMs: 1,
      segmentMaxBytes: 1 << 20,
      checkpointEveryBytes: 1 << 20,
      snapshotEveryBytes: 1 << 20,
    },
    ...{
      keepMaxBytes: 0,
      keepMaxAgeS: 0,
      diskMaxBytes: 1 << 30,
      diskReserveBytes: 0,
      pendingMaxBytes: 1 << 20,
    },
  };
  const parts = {
    clock: realClock,
    continueClock: () => undefined,
    timers: realTimers,
    logger: nullLogger,
    schedule: setImmediate,
    randomBytes: (size: number) => new Uint8Array(size).fill(1),
  };
  const store = createDiskStore(settings, parts);
  await store.open(new RecordedSessions());
  for (let twice = 0; twice < 2; twice++) {
    t.equal(store.append(messageTo('fast/x'), undefined), 0);
    t.equal(store.append(messageTo('a/b'), undefined), 0);
    t.ok(store.append(messageTo('a/b/c'), undefined) > 0);
  }
  await (
    await store.prepareKeys()
  )();
  await store.close();
  await store.close();
});

t.test('a will on a topic that is kept in memory does not come again after a crash', async (t) => {
  for (const isOver of [false, true]) {
    const parts = testStoreParts();
    const store = testStore(parts, { isOnDisk: (topic) => topic !== 'w', checkpointEveryBytes: 1 << 30 });
    await store.open(new RecordedSessions());
    const clientId = 'c';
    const created = { kind: 'created', clientId, username: undefined, expiryS: 60, will: undefined } as const;
    store.record(created);
    if (isOver) store.record({ kind: 'ended', clientId });
    const will = messageTo('w');
    const position = store.append(will, { clientId, packetId: 0, qos: 1 });
    t.ok(position > store.committed, 'it comes once that is stored');
    t.equal(will.position, 0);
    await store.log.flush();
    t.ok(store.committed >= position);
    // The process is killed here.
    const again = testStore({ ...parts, files: parts.files.copy() });
    const sessions = new RecordedSessions();
    await again.open(sessions);
    t.same(
      sessions.steps.map(({ kind }) => kind),
      ['created', isOver ? 'ended' : 'willPublished'],
    );
    t.same(sessions.messages, []);
    await again.close();
    await store.close();
  }
});

t.test('messages are refused where there is no room for them, with the reason', async (t) => {
  const parts = testStoreParts();
  const store = testStore(parts, { diskMaxBytes: 10_000, pendingMaxBytes: 2000, diskReserveBytes: 0 });
  await store.open(new RecordedSessions());
  t.equal(store.admit(100), 0);
  t.equal(store.admit(3000), 0x97, 'more than may wait');
  t.equal(store.admit(20_000), 0x97, 'more than the log may have');
  t.equal(store.status.shortage, undefined, 'smaller ones are taken');
  for (const [code, reason] of [
    ['STORAGE_IO', 0x83],
    ['STORAGE_FULL', 0x97],
  ] as const) {
    parts.files.onOperation = (operation, path) => {
      if (operation === 'write' && path.includes('/log/'))
        throw new SprawlError(code, 'not now', { retryable: true });
    };
    store.append(messageTo('t'), undefined);
    while (store.status.fault === undefined) await sleep(2);
    t.equal(store.admit(1), reason);
    parts.files.onOperation = () => undefined;
    while (store.status.fault !== undefined) await sleep(10);
    t.equal(store.admit(1), 0, 'it goes on by itself');
  }
  t.ok(store.status.faults >= 2);
  await store.close();
});

t.test('steps of a session that is over are written nowhere', async (t) => {
  const parts = testStoreParts();
  const store = testStore(parts);
  await store.open(new RecordedSessions());
  const before = store.log.position;
  store.record({ kind: 'released', clientId: 'nobody', packetId: 1 });
  t.ok(store.log.position - before <= 1, 'but for the time');
  await store.close();
});

t.test('a damaged lock keeps nobody out, a held one does', async (t) => {
  for (const [code, opens] of [
    ['STORAGE_CORRUPT', true],
    ['STORAGE_LOCKED', false],
  ] as const) {
    const parts = testStoreParts();
    const lock = parts.databases.of('/data/lock');
    const open = lock.open.bind(lock);
    let tries = 0;
    lock.open = async (create) => {
      if (tries++ === 0) throw new SprawlError(code, 'so it is');
      await open(create);
    };
    const store = testStore(parts);
    if (opens) await store.open(new RecordedSessions());
    else await t.rejects(store.open(new RecordedSessions()), { code });
    await store.close();
  }
});

t.test('a checkpoint that fails is made again; what is damaged is passed over', async (t) => {
  const parts = testStoreParts();
  const index = parts.databases.of('/data/index');
  let store = testStore(parts);
  await store.open(new RecordedSessions());
  let failures = 2;
  index.onWrite = () => {
    if (failures-- > 0) throw ioError('write', 'index');
  };
  for (let n = 0; n < 800; n++) {
    store.append(messageTo('t', `${n}`.padEnd(150, '.')), undefined);
    if (n % 20 === 19) await store.log.flush();
  }
  await store.settled();
  await sleep(600);
  index.onWrite = undefined;
  for (let n = 0; n < 800; n++) {
    store.append(messageTo('t', `${n}`.padEnd(150, '.')), undefined);
    if (n % 20 === 19) await store.log.flush();
  }
  await store.settled();
  await store.close();
  const snapshots = parts.files.paths().filter((path) => path.endsWith('.snapshot'));
  t.ok(snapshots.length > 0);
  // The newest snapshot and the database are damaged: an older one, or the log alone, has to do.
  const newest = parts.files.contents(snapshots.at(-1) ?? '');
  newest[40] = (newest[40] as number) ^ 1;
  await index.destroy();
  store = testStore(parts);
  const sessions = new RecordedSessions();
  await store.open(sessions);
  t.not(store.rebuild, undefined);
  t.ok(sessions.isRestored);
  await store.settled();
  t.equal((await store.find('t', 0, Number.MAX_SAFE_INTEGER, 1e6)).length, 1600);
  await store.close();
});

t.test('reads that fail are made again; what is damaged is reported and not there', async (t) => {
  const parts = testStoreParts();
  let store = testStore(parts);
  await store.open(new RecordedSessions());
  const positions: number[] = [];
  for (let n = 0; n < 300; n++) {
    positions.push(store.append(messageTo('t', `${n}`.padEnd(150, '.')), undefined));
    if (n % 10 === 9) await store.log.flush();
  }
  let failures = 2;
  parts.files.onOperation = (operation) => {
    if (operation === 'read' && failures-- > 0) throw ioError('read', 'the log');
  };
  const read = await new Promise<readonly (Message | undefined)[]>((resolve) =>
    store.read(positions, resolve),
  );
  t.ok(read.every((message) => message !== undefined));
  parts.files.onOperation = () => undefined;
  await store.close();
  const [oldest = ''] = parts.files.paths().filter((path) => path.endsWith('.log'));
  const bytes = parts.files.contents(oldest);
  bytes[1000] = (bytes[1000] as number) ^ 1;
  await parts.databases.of('/data/index').destroy();
  for (const path of parts.files.paths()) if (path.endsWith('.snapshot')) parts.files.delete(path);
  store = testStore(parts);
  await store.open(new RecordedSessions());
  t.ok(store.losses.length > 0);
  t.ok(store.status.lostPositions > 0);
  const again = await new Promise<readonly (Message | undefined)[]>((resolve) =>
    store.read(positions, resolve),
  );
  t.ok(again.filter((message) => message === undefined).length > 0);
  await store.settled();
  await store.close();
});

t.test('a whole log that is gone is reported, and its positions are not given out again', async (t) => {
  const parts = testStoreParts();
  let store = testStore(parts);
  await store.open(new RecordedSessions());
  for (let n = 0; n < 100; n++) store.append(messageTo('t', `${n}`), undefined);
  await store.close();
  const last = store.committed;
  for (const path of parts.files.paths()) if (path.endsWith('.log')) parts.files.delete(path);
  store = testStore(parts);
  await store.open(new RecordedSessions());
  t.ok(store.status.lostPositions > 0);
  t.ok(store.append(messageTo('t'), undefined) > last);
  await store.close();
});

t.test('a disk with too little room left refuses, and is looked at again', async (t) => {
  const parts = testStoreParts();
  parts.files.quotaBytes = 200_000;
  const store = testStore(parts, { diskReserveBytes: 1 << 30 });
  await store.open(new RecordedSessions());
  store.admit(1);
  await sleep(5);
  parts.clock.time += 2000;
  t.equal(store.admit(1), 0x97);
  t.match(store.status.shortage, /kept free \(limits\.diskReserveBytes: 1073741824\), messages are refused/);
  await store.close();
});

t.test('a log that has all of its quota is a shortage that is told, until there is room', async (t) => {
  const parts = testStoreParts();
  const store = testStore(parts, { diskMaxBytes: 10_000, diskReserveBytes: 0 });
  await store.open(new RecordedSessions());
  while (store.admit(1024) === 0) {
    const position = store.append(messageTo('t', 'x'.repeat(900)), undefined);
    while (store.committed < position) await new Promise(setImmediate);
  }
  t.match(store.status.shortage, /all of its quota \(limits\.diskMaxBytes: 10000\), messages are refused/);
  await store.close();
});

t.test('space that is freed ends a shortage where nobody publishes any more', async (t) => {
  const parts = testStoreParts();
  parts.files.quotaBytes = 200_000;
  const store = testStore(parts, { diskReserveBytes: 150_000 });
  await store.open(new RecordedSessions());
  const looked = async (): Promise<string | undefined> => {
    parts.clock.time += 2000;
    void store.status;
    await new Promise(setImmediate);
    return store.status.shortage;
  };
  parts.files.quotaBytes = parts.files.usedBytes + 100_000;
  t.match(await looked(), /diskReserveBytes/);
  parts.files.quotaBytes = Infinity;
  t.equal(await looked(), undefined);
  await store.close();
});

t.test('what was committed and in no checkpoint is replayed to the sessions, in order', async (t) => {
  const parts = testStoreParts();
  const store = testStore(parts, { checkpointEveryBytes: 1 << 30 });
  await store.open(new RecordedSessions());
  const clientId = 'c';
  const created = { kind: 'created', clientId, username: undefined, expiryS: 60, will: undefined } as const;
  store.record(created);
  const options = {
    qos: 2,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: 0,
  } as const;
  store.record({ kind: 'subscribed', clientId, subscriptions: [{ filter: 't', options }] });
  const message = createMessage({
    ...{
      topic: 't',
      topicBytes: str('t'),
      payload: Buffer.from('x'),
      qos: 2,
      retain: false,
      publisher: clientId,
    },
  });
  const position = store.append(message, { clientId, packetId: 7, qos: 2 });
  store.record({
    kind: 'sent',
    clientId,
    packetId: 3,
    position,
    flags: 2,
    identifiers: [5],
    topic: undefined,
  });
  store.record({ kind: 'pubrec', clientId, packetId: 3 });
  store.record({ kind: 'delivered', clientId, packetId: 3, position, topic: undefined });
  store.record({ kind: 'released', clientId, packetId: 7 });
  store.append(
    createMessage({
      topic: 'w',
      topicBytes: str('w'),
      payload: Buffer.from('gone'),
      qos: 1,
      retain: false,
      publisher: clientId,
    }),
    { clientId, packetId: 0, qos: 1 },
  );
  store.append(
    createMessage({ topic: 'r', topicBytes: str('r'), payload: Buffer.from('kept'), qos: 0, retain: true }),
    undefined,
  );
  store.record({ kind: 'assigned', clientId, filter: '$share/g/t', position });
  store.record({ kind: 'assigned', clientId: '', filter: '$share/g/t', position });
  store.record({ kind: 'ended', clientId });
  store.record({ ...created, clientId: 'd' });
  store.record({ ...created, clientId: 'd' });
  await store.log.flush();
  // The process is killed here.
  const again = testStore({ ...parts, files: parts.files.copy() });
  const sessions = new RecordedSessions();
  await again.open(sessions);
  const kinds =
    'created subscribed sent pubrec delivered released willPublished assigned assigned ended created created';
  t.equal(sessions.steps.map(({ kind }) => kind).join(' '), kinds);
  t.equal(sessions.messages.length, 2);
  t.equal(sessions.retained.length, 1);
  await again.close();
  await store.close();
});
