import fc from 'fast-check';
import t from 'tap';
import { createMessage } from '../../../lib/message/message.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import {
  RecordedSessions,
  testStore,
  type TestStoreParts,
  testStoreParts,
} from '../../support/disk-store.js';
import { str } from '../../support/protocol-bytes.js';

function publish(store: DiskStore, topic: string, payload: string, expiresAt?: number): void {
  store.append(
    createMessage({
      topic,
      topicBytes: str(topic),
      payload: Buffer.from(payload),
      qos: 1,
      retain: false,
      ...(expiresAt === undefined ? {} : { expiresAt }),
    }),
    undefined,
  );
}

async function opened(parts: TestStoreParts, options = {}): Promise<DiskStore> {
  const store = testStore(parts, options);
  await store.open(new RecordedSessions());
  return store;
}

const textsOf = async (
  store: DiskStore,
  topic: string,
  from = 0,
  to = Number.MAX_SAFE_INTEGER,
  limit = 1e6,
): Promise<string[]> =>
  (await store.find(topic, from, to, limit)).map(({ payload }) => Buffer.from(payload).toString());

async function committed(store: DiskStore): Promise<void> {
  await store.log.flush();
}

t.test('messages are found by topic and time, before and after checkpoints and restarts', async (t) => {
  const parts = testStoreParts();
  let store = await opened(parts);
  const base = parts.clock.wallTime;
  const model: { topic: string; text: string; at: number }[] = [];
  for (let n = 0; n < 3000; n++) {
    const topic = ['a', 'a/b', 'a/b/c', 'ä'][n % 4] as string;
    publish(store, topic, `${n}`);
    model.push({ topic, text: `${n}`, at: parts.clock.wallTime - base });
    parts.clock.wallTime += 10;
    if (n % 100 === 99) await committed(store);
    if (n % 1000 === 999) {
      await store.close();
      store = await opened(parts);
    }
  }
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('a', 'a/b', 'a/b/c', 'ä', 'b'),
      fc.nat(31_000),
      fc.nat(5000),
      fc.oneof(fc.constant(1e6), fc.integer({ min: 1, max: 20 })),
      async (topic, from, length, limit) => {
        const expected = model
          .filter((one) => one.topic === topic && one.at >= from && one.at <= from + length)
          .map(({ text }) => text)
          .slice(0, limit);
        const found = await textsOf(store, topic, base + from, base + from + length, limit);
        return found.join() === expected.join();
      },
    ),
    { numRuns: 60 },
  );
  t.pass();
  await store.close();
});

t.test('a clock that is set back hides nothing', async (t) => {
  const parts = testStoreParts();
  const store = await opened(parts);
  const day = 86_400_000;
  const base = parts.clock.wallTime;
  for (const [n, at] of [0, 1, 30 * day, 2, 3].entries()) {
    parts.clock.wallTime = base + at;
    publish(store, 't', `${n}`);
  }
  await committed(store);
  t.same(await textsOf(store, 't', base, base + day), ['0', '1', '3', '4']);
  t.same(await textsOf(store, 't', base + day), ['2']);
  await store.close();
});

t.test('what has expired is not found', async (t) => {
  const parts = testStoreParts();
  const store = await opened(parts);
  publish(store, 't', 'short', parts.clock.time + 100);
  publish(store, 't', 'long');
  await committed(store);
  t.same(await textsOf(store, 't'), ['short', 'long']);
  parts.clock.time += 101;
  t.same(await textsOf(store, 't'), ['long']);
  await store.close();
});

t.test('the log is kept up to a size and an age; its index goes with it', async (t) => {
  const parts = testStoreParts();
  const store = await opened(parts, { keepMaxBytes: 65_536, keepMaxAgeMs: 3_600_000 });
  for (let n = 0; n < 3000; n++) {
    publish(store, 't', `${n}`.padEnd(200, '.'));
    if (n % 20 === 19) await committed(store);
  }
  await committed(store);
  await store.settled();
  t.ok(store.logBytes < 200_000, `${store.logBytes} bytes are kept`);
  t.ok(store.status.prunedBytes > 400_000);
  const keys = [...parts.databases.of('/data/index').values.keys()].filter((key) => key.startsWith('t/'));
  t.ok(keys.length < 40, `${keys.length} keys`);
  const found = await textsOf(store, 't');
  t.equal(found.at(-1)?.startsWith('2999'), true);
  t.ok(found.length >= 65_536 / 300 && found.length < 1000);
  // Hours later everything but the newest is too old.
  parts.clock.wallTime += 4_000_000;
  for (let n = 0; n < 100; n++) publish(store, 't', 'new'.padEnd(200, '.'));
  await committed(store);
  await store.settled();
  const first = (await textsOf(store, 't'))[0] ?? '';
  t.ok(store.logBytes < 70_000, `${store.logBytes} bytes are kept`);
  t.not(first.slice(0, 4), found[0]?.slice(0, 4));
  await store.close();
});

t.test('after the database was lost the log tells again what is in it', async (t) => {
  const parts = testStoreParts();
  let store = await opened(parts);
  for (let n = 0; n < 1000; n++) {
    publish(store, n % 2 === 0 ? 'even' : 'odd', `${n}`.padEnd(100, '.'));
    if (n % 20 === 19) await committed(store);
  }
  await store.close();
  await parts.databases.of('/data/index').destroy();
  store = await opened(parts);
  t.not(store.rebuild, undefined);
  await store.settled();
  const found = await textsOf(store, 'odd');
  t.equal(found.length, 500);
  t.equal(found[0]?.startsWith('1.'), true);
  t.equal(new Set(found).size, 500);
  await store.close();
  store = await opened(parts);
  t.equal((await textsOf(store, 'even')).length, 500, 'and it is written down');
  await store.close();
});
