import t from 'tap';
import { type GatewayId, gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import type {
  DurableStreams,
  MessageSource,
  OwnMessages,
  StreamImage,
  StreamRecord,
} from '../../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import {
  RecordedSessions,
  testStore,
  type TestStoreParts,
  testStoreParts,
} from '../../support/disk-store.js';
import { nullLogger } from '../../support/null-logger.js';
import { str } from '../../support/protocol-bytes.js';
import { filledFolder, flip, imageOf, openStore, segmentsOf } from '../../support/storage-tools.js';

const NEIGHBOUR: GatewayId = gatewayIdOf(new Uint8Array(32).fill(0xab));
const CLIENT = 'away';
const EPOCH = { counter: 3, nonce: '0011223344556677' };

function messageTo(topic: string, text = 'x', retain = false): Message {
  return createMessage({ topic, topicBytes: str(topic), payload: Buffer.from(text), qos: 1, retain });
}

function forwarded(topic: string, sequence: number, source: MessageSource, retain = false): Message {
  const message = messageTo(topic, `from ${sequence}`, retain);
  message.source = source;
  message.sequence = sequence;
  if (retain) message.retainedCounter = 7;
  return message;
}

/** Takes down what it is told, and has the images that the test gives it. */
class RecordedStreams implements DurableStreams {
  readonly kept: StreamImage[] = [];
  readonly restored: StreamImage[] = [];
  readonly records: StreamRecord[] = [];
  readonly sequences: string[] = [];
  images(): Iterable<StreamImage> {
    return this.kept;
  }
  restoreStream(image: StreamImage): void {
    this.restored.push(image);
  }
  replayStream(record: StreamRecord): void {
    this.records.push(record);
  }
  replayForwarded({ origin, epoch }: MessageSource, sequence: number): void {
    this.sequences.push(`${origin.slice(0, 2)} ${epoch.counter} ${sequence}`);
  }
}

function readOwn(store: DiskStore, from: number, maxBytes = 1 << 20): Promise<OwnMessages> {
  return new Promise((resolve) => store.readOwn(from, maxBytes, resolve));
}

async function opened(
  parts: TestStoreParts,
  streams = new RecordedStreams(),
  options: Parameters<typeof testStore>[1] = {},
): Promise<{ store: DiskStore; streams: RecordedStreams; sessions: RecordedSessions }> {
  const store = testStore(parts, options);
  const sessions = new RecordedSessions();
  await store.open(sessions, streams);
  return { store, streams, sessions };
}

t.test('what another gateway sent comes back from the log with where it stands in that one', async (t) => {
  const parts = testStoreParts();
  const first = await opened(parts);
  const source = { origin: NEIGHBOUR, epoch: EPOCH };
  first.store.append(forwarded('a', 41, source), undefined);
  // Another object for the same life of the same gateway.
  first.store.append(forwarded('a', 44, { origin: NEIGHBOUR, epoch: { ...EPOCH } }), undefined);
  first.store.append(forwarded('a', 2, { origin: NEIGHBOUR, epoch: { ...EPOCH, counter: 4 } }), undefined);
  const last = first.store.recordStream({ kind: 'covered', ...source, upTo: 44 });
  first.store.recordStream({ kind: 'reset', ...source, upTo: 12 });
  await first.store.log.flush();
  t.ok(first.store.committed >= last);
  // No checkpoint: as a crash leaves it.
  const { streams, sessions } = await opened({ ...testStoreParts(), files: parts.files.crash() });
  t.same(streams.sequences, ['ab 3 41', 'ab 3 44', 'ab 4 2']);
  t.same(streams.records, [
    { kind: 'covered', origin: NEIGHBOUR, epoch: EPOCH, upTo: 44 },
    { kind: 'reset', origin: NEIGHBOUR, epoch: EPOCH, upTo: 12 },
  ]);
  t.same(
    sessions.messages.map(({ sequence, source: from }) => [sequence, from?.epoch.counter]),
    [
      [41, 3],
      [44, 3],
      [2, 4],
    ],
  );
});

t.test('a note that was recorded outlives a loss of power, one that was only set is as it was', async (t) => {
  const parts = testStoreParts();
  const { store } = await opened(parts);
  store.setNote('one', Buffer.from('first'));
  store.setNote('two', Buffer.from('only set'));
  t.ok(store.recordNote('one') > 0);
  store.setNote('one', Buffer.from('second'));
  await store.log.flush();
  const again = (await opened({ ...testStoreParts(), files: parts.files.crash() })).store;
  t.equal(Buffer.from(again.note('one') ?? []).toString(), 'first');
  t.equal(again.note('two'), undefined);
  // From the checkpoint now, as the log is not kept for it.
  await again.close();
  await store.close();
});

t.test('a checkpoint has the streams as they stand, and the gateways that messages name', async (t) => {
  const parts = testStoreParts();
  const { store, streams } = await opened(parts);
  const image = { origin: NEIGHBOUR, epoch: EPOCH, covered: 900, have: [903, 905, 1_000_000] };
  streams.kept.push(image);
  const retained = forwarded('state', 903, { origin: NEIGHBOUR, epoch: EPOCH }, true);
  store.append(retained, undefined);
  store.retained.set(retained);
  const grave = forwarded('gone', 905, { origin: NEIGHBOUR, epoch: EPOCH }, true);
  store.append(grave, undefined);
  store.retained.bury(createMessage({ ...grave, topicBytes: grave.topicBytes, payload: new Uint8Array(0) }));
  store.retained.forEachTombstone((tombstone) => {
    tombstone.source = grave.source;
    tombstone.sequence = 905;
    tombstone.retainedCounter = 8;
  });
  store.setFloor('peer/one', 5);
  store.setFloor('peer/two', 9);
  store.setFloor('peer/two', undefined);
  await store.close();

  const again = await opened(parts);
  t.same(again.streams.restored, [image]);
  t.same(again.streams.records, []);
  t.same([...again.store.floors], [['peer/one', 5]]);
  const back = again.store.retained.get('state');
  t.same(back?.source, { origin: NEIGHBOUR, epoch: EPOCH });
  t.same([back?.sequence, back?.retainedCounter], [903, 7]);
  const tombstone = again.store.retained.tombstone('gone');
  t.same([tombstone?.sequence, tombstone?.retainedCounter], [905, 8]);
  t.equal(again.store.retained.tombstoneCount, 1);
  t.equal(again.store.retained.get('gone'), undefined);
  t.equal(again.store.retained.forgetTombstone('gone'), true);
  t.equal(again.store.retained.forgetTombstone('gone'), false);
  await again.store.close();
  const third = await opened(parts);
  t.equal(third.store.retained.tombstone('gone'), undefined, 'and it does not come back');
  await third.store.close();
});

t.test(
  'a gateway reads what it took in itself, some at a time, and nothing that came from others',
  async (t) => {
    const parts = testStoreParts();
    const { store } = await opened(parts);
    const startMs = parts.clock.wallTime;
    const from = store.append(messageTo('own', '0'), undefined);
    for (let n = 1; n < 50; n++) {
      parts.clock.wallTime++;
      store.append(messageTo('own', String(n)), undefined);
      store.append(forwarded('theirs', n, { origin: NEIGHBOUR, epoch: EPOCH }), undefined);
    }
    await store.log.flush();
    const texts: string[] = [];
    const times: number[] = [];
    let reads = 0;
    for (let at = from; at <= store.committed; reads++) {
      const { messages, wallMs, next, lostFrom } = await readOwn(store, at, 200);
      times.push(...wallMs.map((ms) => ms - startMs));
      t.equal(lostFrom, 0);
      t.ok(next > at, 'it goes on');
      for (const { payload, position, topic } of messages) {
        t.equal(topic, 'own');
        t.ok(position >= at && position < next);
        texts.push(Buffer.from(payload).toString());
      }
      at = next;
    }
    t.same(
      texts,
      Array.from({ length: 50 }, (_, n) => String(n)),
    );
    t.same(
      times,
      Array.from({ length: 50 }, (_, n) => n),
      'each with its time',
    );
    t.ok(reads > 3, 'in parts');
    const end = await readOwn(store, store.committed + 1);
    t.same(
      end,
      { messages: [], wallMs: [], next: store.committed + 1, lostFrom: 0, lostTo: 0 },
      'nothing is there yet',
    );
    await store.close();
  },
);

t.test('what somebody is to have yet stays in the log, and what is gone is named', async (t) => {
  const options = { keepMaxBytes: 0, keepMaxAgeMs: 0, segmentMaxBytes: 4096, checkpointEveryBytes: 1024 };
  const { store } = await opened(testStoreParts(), undefined, options);
  const fill = async (): Promise<void> => {
    for (let n = 0; n < 200; n++) store.append(messageTo('t', 'x'.repeat(100)), undefined);
    await store.log.flush();
    await store.settled();
  };
  store.setFloor('peer', 1);
  for (let round = 0; round < 3; round++) await fill();
  t.equal(store.log.reader.first, 1);
  t.equal((await readOwn(store, 1)).lostFrom, 0);
  const floor = store.committed;
  store.setFloor('peer', floor);
  for (let round = 0; round < 6; round++) await fill();
  const { first } = store.log.reader;
  t.ok(first > 1 && first <= floor, 'what is before goes, what it wants stays');
  const own = await readOwn(store, 1, 100);
  t.same([own.lostFrom, own.lostTo], [1, first - 1]);
  t.ok(own.messages.every(({ position }) => position >= first));
  await store.close();
});

t.test(
  'lives of others that nothing names any more are let go, and those that something does stay',
  async (t) => {
    const parts = testStoreParts();
    const options = { keepMaxBytes: 0, keepMaxAgeMs: 0, segmentMaxBytes: 4096, checkpointEveryBytes: 1024 };
    const { store } = await opened(parts, undefined, { ...options, snapshotEveryBytes: 4096 });
    const lifeOf = (counter: number): MessageSource => ({ origin: NEIGHBOUR, epoch: { ...EPOCH, counter } });
    const sourceKeys = (): string[] =>
      [...parts.databases.of('/data/index').values.keys()].filter((key) => key.includes('l/o/'));
    const kept = forwarded('state', 1, lifeOf(1), true);
    for (let counter = 1; counter <= 40; counter++) {
      const message = counter === 1 ? kept : forwarded('t', counter, lifeOf(counter));
      store.append(message, undefined);
      if (message === kept) store.retained.set(message);
      for (let n = 0; n < 40; n++) store.append(messageTo('t', 'x'.repeat(100)), undefined);
      await store.log.flush();
      await store.settled();
    }
    await store.close();
    t.ok(sourceKeys().length < 20, `${sourceKeys().length} of 40 lives`);
    const again = await opened(parts, undefined, options);
    t.match(again.store.retained.get('state')?.source, lifeOf(1));
    // A new object for a life that was let go, and one that is still the same.
    again.store.append(forwarded('t', 77, lifeOf(2)), undefined);
    again.store.append(forwarded('t', 78, lifeOf(40)), undefined);
    await again.store.log.flush();
    const third = await opened({ ...testStoreParts(), files: parts.files.crash() }, undefined, options);
    t.same(third.streams.sequences.slice(-2), ['ab 2 77', 'ab 40 78']);
    await third.store.close();
    await again.store.close();
  },
);

t.test(
  'a stream that is forgotten does not come back with a restart, and one that begins anew does',
  async (t) => {
    const parts = testStoreParts();
    const image = { origin: NEIGHBOUR, epoch: EPOCH, covered: 900, have: [] };
    const { store, streams } = await opened(parts);
    streams.kept.push(image);
    await store.close();
    const second = await opened(parts);
    t.equal(second.streams.restored.length, 1);
    second.store.forgetStream(NEIGHBOUR);
    await second.store.close();
    const third = await opened(parts);
    t.same(third.streams.restored, []);
    third.store.forgetStream(NEIGHBOUR);
    third.streams.kept.push(image);
    await third.store.close();
    const last = await opened(parts);
    t.same(
      last.streams.restored.map(({ covered }) => covered),
      [900],
    );
    await last.store.close();
  },
);

t.test('who does not come for its messages does not fill the disk', async (t) => {
  const options = { keepMaxBytes: 0, keepMaxAgeMs: 0, segmentMaxBytes: 4096, checkpointEveryBytes: 1024 };
  const warnings: unknown[] = [];
  const { store } = await opened(testStoreParts(), undefined, {
    ...options,
    snapshotEveryBytes: 4096,
    floorsMaxBytes: 20_000,
    logger: { ...nullLogger, warn: (_message, fields) => void warnings.push(fields) },
  });
  store.setFloor('peer', 1);
  for (let round = 0; round < 12; round++) {
    for (let n = 0; n < 100; n++) store.append(messageTo('t', 'x'.repeat(100)), undefined);
    await store.log.flush();
    await store.settled();
  }
  const { first } = store.log.reader;
  t.ok(first > 1, 'the oldest has gone');
  t.ok(store.log.storedBytes < 60_000, 'and the newest is there');
  t.same([...store.floors], [['peer', 1]], 'who comes is told what it missed');
  t.match(warnings, [{ name: 'peer', maxBytes: 20_000, raise: 'mesh.peerKeepMaxBytes' }]);
  await store.close();
});

t.test('who is not waited for any longer is told of what was left out of the log for it', async (t) => {
  const { store, sessions } = await opened(testStoreParts(), undefined, {
    ...{ keepMaxBytes: 0, keepMaxAgeMs: 0, segmentMaxBytes: 4096, checkpointEveryBytes: 1024 },
    ...{ snapshotEveryBytes: 4096, floorsMaxBytes: 20_000 },
  });
  store.record({ kind: 'created', clientId: CLIENT, username: undefined, expiryS: 60, will: undefined });
  sessions.images.set(CLIENT, imageOf(CLIENT));
  const waiting = store.createQueue(CLIENT);
  store.setFloor('peer', 1);
  const published: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 100; n++) {
      const message = messageTo('t', 'x'.repeat(100));
      published.push(store.append(message, undefined));
      if (n % 50 === 0) waiting.push(message, 1, undefined);
    }
    await store.log.flush();
    await store.settled();
  }
  t.ok(store.status.compactedBytes > 0, 'what the session waits for is left');
  const here = new Set<number>();
  const told: [number, number][] = [];
  for (let at = 1; at <= store.committed;) {
    const { messages, next, lostFrom, lostTo } = await readOwn(store, at, 2000);
    for (const { position } of messages) here.add(position);
    if (lostTo > 0) told.push([lostFrom, lostTo]);
    t.ok(lostTo < next && (lostTo === 0 || lostFrom >= at), 'of what was looked at');
    at = next;
  }
  const isTold = (at: number): boolean => told.some(([from, to]) => at >= from && at <= to);
  const missing = published.filter((at) => !here.has(at));
  t.ok(missing.length > 1000);
  t.same(
    missing.filter((at) => !isTold(at)),
    [],
  );
  t.notOk(isTold(published.at(-1) ?? 0), 'what is whole is not called lost');
  await store.close();
});

t.test(
  'what is damaged or missing in the middle of the log is told to whoever carries it to others',
  async (t) => {
    const folder = await filledFolder(1000, 1000, false);
    const paths = segmentsOf(folder.files);
    const firstOf = (path: string | undefined): number => Number(path?.slice(-20, -4));
    flip(folder.files, paths[2] as string, 500);
    folder.files.delete(paths[4] as string);
    const { store } = await openStore(folder);
    const missing: number[] = [];
    for (let at = 1; at <= store.committed;) {
      const { next, lostFrom, lostTo } = await readOwn(store, at, 500);
      for (let lost = lostFrom; lostTo > 0 && lost <= lostTo; lost++) missing.push(lost);
      at = next;
    }
    const damaged = missing.filter((at) => at < firstOf(paths[4]));
    t.ok(damaged.length > 0 && damaged.every((at) => at >= firstOf(paths[2]) && at < firstOf(paths[3])));
    const gone = Array.from(
      { length: firstOf(paths[5]) - firstOf(paths[4]) },
      (_, n) => firstOf(paths[4]) + n,
    );
    t.same(
      missing.filter((at) => at >= firstOf(paths[4])),
      gone,
    );
    await store.close();
  },
);
