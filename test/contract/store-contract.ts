/**
 * What every Store, DeliveryQueue and RetainedStore does, as functions that take a factory: each implementation runs them.
 */
import fc from 'fast-check';
import type { Test } from 'tap';
import type {
  DeliveryQueue,
  LogPosition,
  MessageOrigin,
  RetainedStore,
  Store,
} from '../../lib/contracts/store.js';
import { createMessage, Message, NEVER, retainedBytes } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/index.js';
import { topicMatchesFilter } from '../../lib/protocol/index.js';
import { str } from '../support/protocol-bytes.js';

export interface StoreFactory {
  /** A store that was opened and is empty. The suite closes it. */
  create(): Promise<Store>;
}

function messageOf(topic: string, payload: string, qos: QoS = 1): Message {
  return createMessage({ topic, topicBytes: str(topic), payload: Buffer.from(payload), qos, retain: false });
}

/** Resolves when the position is durable, which the store says through `onCommitted` where it is not so already. */
function committedTo(store: Store, position: LogPosition): Promise<void> {
  if (store.committed >= position) return Promise.resolve();
  return new Promise((resolve) => {
    store.onCommitted = () => {
      if (store.committed >= position) resolve();
    };
  });
}

export function storeContract(t: Test, name: string, factory: StoreFactory): void {
  void t.test(`${name}: positions grow by one with every record, whatever its kind`, async (t) => {
    const store = await factory.create();
    const origin: MessageOrigin = { clientId: 'c', packetId: 1, qos: 1 };
    const first = store.append(messageOf('a', '1'), origin);
    t.ok(Number.isSafeInteger(first));
    t.equal(store.append(messageOf('a', '2'), undefined), first + 1);
    t.equal(
      store.record({ kind: 'created', clientId: 'c', username: undefined, expiryS: 60, will: undefined }),
      first + 2,
    );
    t.equal(store.record({ kind: 'ended', clientId: 'c' }), first + 3);
    await store.close();
  });

  void t.test(`${name}: what was written becomes durable, and the watermark never falls`, async (t) => {
    const store = await factory.create();
    let last = store.committed;
    let seen = last;
    for (let i = 0; i < 50; i++) {
      last = store.append(messageOf('t', `${i}`), undefined);
      t.ok(store.committed >= seen);
      seen = store.committed;
    }
    await committedTo(store, last);
    t.equal(store.committed, last, 'and not beyond what was written');
    await store.close();
  });

  void t.test(`${name}: a closed store has committed everything`, async (t) => {
    const store = await factory.create();
    const last = store.append(messageOf('t', 'x'), undefined);
    await store.close();
    t.ok(store.committed >= last);
  });

  void t.test(
    `${name}: a message of ordinary size is admitted, and appending does not change it`,
    async (t) => {
      const store = await factory.create();
      const message = messageOf('topic', 'payload');
      t.equal(store.admit(message.weight), 0);
      await committedTo(store, store.append(message, undefined));
      t.equal(Buffer.from(message.payload).toString(), 'payload');
      t.equal(message.topic, 'topic');
      await store.close();
    },
  );

  void t.test(`${name}: reading answers once, for each position; for none at once`, async (t) => {
    const store = await factory.create();
    let answers = 0;
    store.read([], () => answers++);
    t.equal(answers, 1);
    const messages = await new Promise<readonly unknown[]>((resolve) => store.read([7_000_000, 0], resolve));
    t.same(messages, [undefined, undefined], 'what is not there');
    await store.close();
  });

  void t.test(`${name}: queues of two sessions have nothing in common`, async (t) => {
    const store = await factory.create();
    const [one, other] = [store.createQueue('one'), store.createQueue('other')];
    one.push(messageOf('t', 'mine'), 1, undefined);
    t.equal(one.count, 1);
    t.equal(other.count, 0);
    await store.close();
  });

  deliveryQueueContract(t, name, async () => {
    const store = await factory.create();
    return { queue: store.createQueue('c'), close: () => store.close() };
  });
  retainedContract(t, name, async () => {
    const store = await factory.create();
    return { retained: store.retained, close: () => store.close() };
  });
}

type QueueFactory = () => Promise<{ queue: DeliveryQueue; close(): Promise<void> }>;

/** Resolves when the head can be read. */
function readyOf(queue: DeliveryQueue): Promise<void> {
  if (queue.ready) return Promise.resolve();
  return new Promise((resolve) => {
    queue.onReady = () => {
      if (queue.ready) resolve();
    };
  });
}

export function deliveryQueueContract(t: Test, name: string, create: QueueFactory): void {
  void t.test(`${name}: an empty queue has nothing to read`, async (t) => {
    const { queue, close } = await create();
    t.equal(queue.count, 0);
    t.equal(queue.bytes, 0);
    t.equal(queue.ready, false);
    queue.shift();
    queue.clear();
    t.equal(queue.count, 0, 'shift and clear of nothing do nothing');
    await close();
  });

  void t.test(`${name}: the head stays until it is shifted, with its flags and identifiers`, async (t) => {
    const { queue, close } = await create();
    queue.push(messageOf('a', 'first'), 1, [7, 9]);
    queue.push(messageOf('b', 'second', 2), 6, undefined);
    for (let looks = 0; looks < 2; looks++) {
      await readyOf(queue);
      t.equal(Buffer.from(queue.headMessage.payload).toString(), 'first');
      t.equal(queue.headFlags, 1);
      t.same(queue.headIdentifiers, [7, 9]);
    }
    queue.shift();
    await readyOf(queue);
    t.equal(queue.headMessage.topic, 'b');
    t.equal(queue.headFlags, 6);
    t.equal(queue.headIdentifiers, undefined);
    await close();
  });

  void t.test(`${name}: a queue is first in, first out and counts what is in it`, async () => {
    const operation = fc.oneof(
      { weight: 5, arbitrary: fc.nat(200).map((bytes) => ({ kind: 'push' as const, bytes })) },
      { weight: 4, arbitrary: fc.constant({ kind: 'shift' as const }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 100, size: 'max' }), async (operations) => {
        const { queue, close } = await create();
        let model: { message: Message; flags: number }[] = [];
        let number = 0;
        for (const step of operations) {
          if (step.kind === 'push') {
            const message = messageOf('t', `${number}`.padEnd(step.bytes, '.'));
            model.push({ message, flags: number % 3 });
            queue.push(message, number++ % 3, undefined);
          } else if (step.kind === 'shift') {
            model.shift();
            queue.shift();
          } else {
            model = [];
            queue.clear();
          }
          await checkQueue(queue, model);
        }
        await close();
      }),
      { numRuns: 50 },
    );
  });

  void t.test(`${name}: thousands wait and leave in their order`, async (t) => {
    const { queue, close } = await create();
    for (let i = 0; i < 3000; i++) queue.push(messageOf('t', `${i}`), 1, undefined);
    for (let i = 0; i < 3000; i++) {
      await readyOf(queue);
      const payload = Buffer.from(queue.headMessage.payload).toString();
      if (payload !== `${i}`) t.fail(`${payload} in place of ${i}`);
      queue.shift();
      // Some come while others go.
      if (i < 1000) queue.push(messageOf('t', `${3000 + i}`), 1, undefined);
    }
    t.equal(queue.count, 1000);
    queue.clear();
    t.equal(queue.bytes, 0);
    await close();
  });
}

async function checkQueue(
  queue: DeliveryQueue,
  model: readonly { message: Message; flags: number }[],
): Promise<void> {
  const bytes = model.reduce((sum, { message }) => sum + message.weight, 0);
  if (queue.count !== model.length) throw new Error(`${queue.count} in the queue, not ${model.length}`);
  if (queue.bytes !== bytes) throw new Error(`${queue.bytes} bytes in the queue, not ${bytes}`);
  const [head] = model;
  if (head === undefined) return;
  await readyOf(queue);
  const payload = Buffer.from(queue.headMessage.payload);
  if (!payload.equals(head.message.payload) || queue.headFlags !== head.flags)
    throw new Error(`the head is ${payload.toString()} with flags ${queue.headFlags}`);
}

type RetainedFactory = () => Promise<{ retained: RetainedStore; close(): Promise<void> }>;

export function retainedContract(t: Test, name: string, create: RetainedFactory): void {
  void t.test(`${name}: a topic retains its last message, until that is deleted`, async (t) => {
    const { retained, close } = await create();
    t.equal(retained.get('a/b'), undefined);
    t.equal(retained.delete('a/b'), false);
    retained.set(messageOf('a/b', 'old and long'));
    const newer = messageOf('a/b', 'new');
    retained.set(newer);
    t.equal(Buffer.from(retained.get('a/b')?.payload ?? []).toString(), 'new');
    t.equal(retained.count, 1);
    t.equal(retained.bytes, retainedBytes(newer), 'the replaced one counts no more');
    t.equal(retained.get('a'), undefined, 'a parent has nothing');
    t.equal(retained.delete('a/b'), true);
    t.equal(retained.count, 0);
    t.equal(retained.bytes, 0);
    await close();
  });

  void t.test(`${name}: what is retained is visited whole, each message with its publisher`, async (t) => {
    const { retained, close } = await create();
    const of = (topic: string, publisher: string): Message =>
      createMessage({ topic, topicBytes: str(topic), payload: str('x'), qos: 1, retain: true, publisher });
    const visited = (): string[] => {
      const seen: string[] = [];
      retained.forEach(({ topic, publisher }) => seen.push(`${topic} ${publisher}`));
      return seen.sort();
    };
    t.same(visited(), []);
    retained.set(of('a', 'one'));
    retained.set(of('a/b', 'one'));
    retained.set(of('$SYS/x', ''));
    retained.set(of('/', 'two'));
    retained.set(of('a', 'two'));
    retained.delete('a/b');
    t.same(visited(), ['$SYS/x ', '/ two', 'a two']);
    t.equal(retained.get('a')?.publisher, 'two');
    await close();
  });

  void t.test(`${name}: a retained message does not hold the read buffer that it came in`, async (t) => {
    const { retained, close } = await create();
    const read = Buffer.alloc(65_536, 0x2e);
    read.write('kept', 1000);
    retained.set(new Message('t', str('t'), read, 1000, 1004, new Uint8Array(0), 0, true, NEVER, 'c'));
    read.fill(0);
    t.equal(Buffer.from(retained.get('t')?.payload ?? []).toString(), 'kept');
    await close();
  });

  void t.test(`${name}: names of things are topics like any other`, async (t) => {
    const { retained, close } = await create();
    for (const topic of ['constructor', '__proto__', 'a/__proto__/b', '/', '//', 'toString/x'])
      retained.set(messageOf(topic, topic));
    t.equal(retained.count, 6);
    t.equal(Buffer.from(retained.get('__proto__')?.payload ?? []).toString(), '__proto__');
    t.equal(retained.get('hasOwnProperty'), undefined);
    await close();
  });

  void t.test(`${name}: a filter visits what it matches and nothing else`, async () => {
    const level = fc.constantFrom('a', 'b', '', '$SYS');
    const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
    const filter = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 3 }), fc.boolean())
      .map(([levels, rest]) => (rest || levels.length === 0 ? [...levels, '#'] : levels).join('/'))
      .filter((text) => text !== '');
    await fc.assert(
      fc.asyncProperty(
        fc.array(topic, { size: '+1' }),
        fc.array(topic),
        filter,
        async (kept, deleted, pattern) => {
          const { retained, close } = await create();
          const expected = new Set(kept.filter((name) => name !== ''));
          for (const name of expected) retained.set(messageOf(name, name));
          for (const name of deleted) {
            if (name !== '' && retained.delete(name) !== expected.delete(name))
              throw new Error(`delete of ${name} says the wrong thing`);
          }
          const visited: string[] = [];
          retained.forEachMatch(pattern, (message) => visited.push(message.topic));
          const matching = [...expected].filter((name) => topicMatchesFilter(name, pattern));
          if (visited.sort().join('\n') !== matching.sort().join('\n'))
            throw new Error(`${pattern} visits ${visited.join()} and not ${matching.join()}`);
          await close();
        },
      ),
      { numRuns: 200 },
    );
  });
}
