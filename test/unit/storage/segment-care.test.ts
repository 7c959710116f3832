import t from 'tap';
import type { DeliveryQueue } from '../../../lib/contracts/store.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import { RecordedSessions, testStore, testStoreParts } from '../../support/disk-store.js';
import { str } from '../../support/protocol-bytes.js';

const CLIENT = 'away';

function messageOf(n: number): Message {
  return createMessage({
    topic: 't',
    topicBytes: str('t'),
    payload: Buffer.from(`${n}`.padEnd(200, '.')),
    qos: 1,
    retain: false,
  });
}

async function drained(queue: DeliveryQueue): Promise<string[]> {
  const texts: string[] = [];
  while (queue.count > 0) {
    if (!queue.ready) {
      await new Promise<void>((resolve) => {
        queue.onReady = resolve;
      });
      continue;
    }
    texts.push(Buffer.from(queue.headMessage.payload).toString().replaceAll('.', ''));
    queue.shift();
  }
  return texts;
}

const NOTHING_KEPT = { keepMaxBytes: 0, keepMaxAgeMs: 0 };

async function written(
  store: DiskStore,
  queue: DeliveryQueue,
  from: number,
  to: number,
  every: number,
): Promise<void> {
  for (let n = from; n < to; n++) {
    const message = messageOf(n);
    store.append(message, undefined);
    if (n % 20 === 19) {
      await store.log.flush();
      // A test writes as fast as it can; what a checkpoint does meanwhile has its turn.
      await store.settled();
    }
    if (n % every === 0) queue.push(message, 1, undefined);
  }
  await store.log.flush();
  await store.settled();
}

t.test('a session that is away keeps its messages, not the log around them', async (t) => {
  const parts = testStoreParts();
  const sessions = new RecordedSessions();
  let store = testStore(parts, NOTHING_KEPT);
  await store.open(sessions);
  store.record({ kind: 'created', clientId: CLIENT, username: undefined, expiryS: 60, will: undefined });
  sessions.images.set(CLIENT, imageOf());
  await written(store, store.createQueue(CLIENT), 0, 6000, 50);
  t.ok(store.status.compactedBytes > 500_000, `${store.status.compactedBytes} bytes became free`);
  t.ok(store.logBytes < 400_000, `${store.logBytes} of about 1,400,000 bytes are left`);
  const expected = Array.from({ length: 120 }, (_, i) => `${i * 50}`);
  await store.close();
  // They are there after a restart, and nothing is reported lost.
  store = testStore(parts, NOTHING_KEPT);
  const again = new RecordedSessions();
  await store.open(again);
  t.same(store.losses, []);
  again.images.set(CLIENT, imageOf());
  const queue = store.createQueue(CLIENT);
  t.equal(queue.count, 120);
  t.same(await drained(queue), expected);
  await written(store, queue, 6000, 7000, 1e9);
  t.ok(store.logBytes < 200_000, `once they are delivered the log is let go: ${store.logBytes}`);
  await store.close();
});

t.test('segments of which much is needed are left as they are', async (t) => {
  const parts = testStoreParts();
  const sessions = new RecordedSessions();
  const store = testStore(parts, NOTHING_KEPT);
  await store.open(sessions);
  store.record({ kind: 'created', clientId: CLIENT, username: undefined, expiryS: 60, will: undefined });
  sessions.images.set(CLIENT, imageOf());
  const queue = store.createQueue(CLIENT);
  await written(store, queue, 0, 2000, 1);
  t.equal(store.status.compactedBytes, 0);
  t.equal(queue.count, 2000);
  t.equal((await drained(queue)).length, 2000);
  await store.close();
});

function imageOf() {
  return {
    clientId: CLIENT,
    username: undefined,
    expiryS: 60,
    parkedAt: 0,
    will: undefined,
    subscriptions: [],
    inbound: [],
    inFlight: [],
    burned: [],
    owed: [],
  };
}
