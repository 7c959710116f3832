import fc from 'fast-check';
import t from 'tap';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { DiskQueue, type QueueBacking } from '../../../storage/queue/disk-queue.js';
import { BLOCK_MAX_COUNT, decodePostings, encodePostings } from '../../../storage/queue/posting-block.js';
import { deliveryQueueContract } from '../../contract/store-contract.js';

/** A log of messages and blocks whose reads take as long as the test lets them. */
class FakeBacking implements QueueBacking {
  readonly blockMaxCount: number = BLOCK_MAX_COUNT;
  readonly blocks = new Map<number, Uint8Array>();
  readonly log = new Map<number, Message>();
  readonly lostPositions: number[] = [];
  readonly waiting: (() => void)[] = [];
  /** Reads answer by themselves. */
  quick = true;
  failures = 0;
  blocksPut = 0;

  message(text: string): Message {
    const message = createMessage({
      topic: 't',
      topicBytes: Buffer.from([0, 1, 0x74]),
      payload: Buffer.from(text),
      qos: 1,
      retain: false,
    });
    message.position = this.log.size + 1;
    this.log.set(message.position, message);
    return message;
  }

  putBlock(block: number, bytes: Uint8Array): void {
    this.blocksPut++;
    this.blocks.set(block, bytes);
  }

  async getBlock(block: number): Promise<Uint8Array> {
    await this.#answer();
    const bytes = this.blocks.get(block);
    if (bytes === undefined) throw new Error(`block ${block} is not there`);
    return bytes;
  }

  dropBlock(block: number): void {
    if (!this.blocks.delete(block)) throw new Error(`block ${block} was dropped twice`);
  }

  async readMessages(positions: readonly number[]): Promise<(Message | undefined)[]> {
    await this.#answer();
    return positions.map((position) => this.log.get(position));
  }

  changed(): void {}

  lost(position: number): void {
    this.lostPositions.push(position);
  }

  retryLater(_error: unknown, again: () => void): void {
    setImmediate(again);
  }

  /** Lets one read go on. */
  answerOne(): boolean {
    const answer = this.waiting.shift();
    answer?.();
    return answer !== undefined;
  }

  async #answer(): Promise<void> {
    if (!this.quick) await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (this.failures === 0) return;
    this.failures--;
    throw new Error('the disk is away');
  }
}

class SmallBlocks extends FakeBacking {
  override readonly blockMaxCount = 4;

  copy(): SmallBlocks {
    const copy = new SmallBlocks();
    for (const [block, bytes] of this.blocks) copy.blocks.set(block, bytes);
    for (const [position, message] of this.log) copy.log.set(position, message);
    return copy;
  }
}

function readyOf(queue: DiskQueue): Promise<void> {
  return new Promise((resolve) => {
    queue.onReady = () => {
      if (queue.ready) resolve();
    };
    if (queue.ready) resolve();
  });
}

async function drain(queue: DiskQueue): Promise<string[]> {
  const texts: string[] = [];
  while (queue.count > 0) {
    await readyOf(queue);
    if (queue.count === 0) break;
    texts.push(Buffer.from(queue.headMessage.payload).toString());
    queue.shift();
  }
  return texts;
}

const textsTo = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

// Messages of the contract are in no log, so that they stay in memory.
deliveryQueueContract(t, 'disk, not logged', async () => ({
  queue: new DiskQueue(new FakeBacking()),
  close: async () => {},
}));

t.test('a short backlog stays in memory and writes nothing', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(200)) queue.push(backing.message(text), 1, undefined);
  t.equal(backing.blocksPut, 0);
  t.same(await drain(queue), textsTo(200));
});

t.test(
  'a long backlog is put away; memory holds less than three blocks of it, and it leaves in order',
  async (t) => {
    const backing = new FakeBacking();
    const queue = new DiskQueue(backing);
    let held = 0;
    for (const text of textsTo(20_000)) {
      queue.push(backing.message(text), 1, undefined);
      held = Math.max(held, queue.heldBytes);
    }
    t.equal(queue.count, 20_000);
    const [one] = backing.log.values();
    t.ok(held < 3 * 256 * ((one?.weight ?? 0) + 10), `${held} bytes`);
    t.ok(queue.bytes > 20 * held);
    t.same(await drain(queue), textsTo(20_000));
    t.equal(queue.bytes, 0);
    t.equal(backing.blocks.size, 0, 'nothing is left behind');
  },
);

t.test('a queue goes on from its state and its blocks, as after a restart', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(3000)) queue.push(backing.message(text), 2, [7]);
  for (let i = 0; i < 10; i++) queue.shift();
  const state = queue.stateAt(0);
  for (const posting of [...state.head, ...state.tail]) posting.message = undefined;
  const again = new DiskQueue(backing, state);
  t.equal(again.count, 2990);
  t.equal(again.bytes, queue.bytes);
  await readyOf(again);
  t.equal(again.headFlags, 2);
  t.same(again.headIdentifiers, [7]);
  t.same(await drain(again), textsTo(3000).slice(10));
});

t.test('messages that were delivered in an earlier life are taken out', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(300)) queue.push(backing.message(text), 1, undefined);
  queue.remove(3, 3);
  queue.remove(290, 290);
  queue.remove(290, 290);
  t.equal(queue.count, 298);
  t.same(
    await drain(queue),
    textsTo(300).filter((text) => text !== '2' && text !== '289'),
  );
  t.equal(queue.bytes, 0);
});

t.test('a damaged message is reported and does not keep back what is behind it', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(1000)) queue.push(backing.message(text), 1, undefined);
  for (let position = 257; position <= 520; position++) backing.log.delete(position);
  const texts = await drain(queue);
  const expected = textsTo(1000).filter(
    (_, i) => i < 256 || i >= 520 || !backing.lostPositions.includes(i + 1),
  );
  t.same(texts, expected);
  t.ok(backing.lostPositions.length > 0);
  t.equal(texts.length + backing.lostPositions.length, 1000);
  t.equal(queue.bytes, 0);
});

t.test('a read that fails is made again, and nothing is lost by it', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(1000)) queue.push(backing.message(text), 1, undefined);
  backing.failures = 5;
  t.same(await drain(queue), textsTo(1000));
  t.equal(backing.failures, 0);
});

t.test('what was being read when the queue was cleared does not come back', async (t) => {
  const backing = new FakeBacking();
  backing.quick = false;
  const queue = new DiskQueue(backing);
  for (const text of textsTo(600)) queue.push(backing.message(text), 1, undefined);
  for (let i = 0; i < 256; i++) queue.shift();
  t.equal(queue.ready, false, 'the block is being read');
  queue.clear();
  queue.push(backing.message('new'), 1, undefined);
  backing.quick = true;
  while (backing.answerOne());
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(queue.count, 1);
  t.same(await drain(queue), ['new']);
});

t.test('pushes, shifts, clears and late reads in any order keep order and count', async () => {
  const operation = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.integer({ min: 1, max: 400 }).map((count) => ({ kind: 'push' as const, count })),
    },
    {
      weight: 4,
      arbitrary: fc.integer({ min: 1, max: 400 }).map((count) => ({ kind: 'shift' as const, count })),
    },
    { weight: 3, arbitrary: fc.constant({ kind: 'answer' as const, count: 1 }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const, count: 1 }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40, size: 'max' }), async (operations) => {
      const backing = new FakeBacking();
      backing.quick = false;
      const queue = new DiskQueue(backing);
      let model: string[] = [];
      let next = 0;
      for (const { kind, count } of operations) {
        for (let i = 0; i < count; i++) {
          if (kind === 'push') {
            model.push(`${next}`);
            queue.push(backing.message(`${next++}`), 1, undefined);
          } else if (kind === 'clear') {
            model = [];
            queue.clear();
          } else if (kind === 'answer') {
            backing.answerOne();
            await new Promise((resolve) => setImmediate(resolve));
          } else if (queue.ready) {
            if (Buffer.from(queue.headMessage.payload).toString() !== model.shift()) throw new Error('order');
            queue.shift();
          }
        }
        if (queue.count !== model.length) throw new Error(`${queue.count} in the queue, not ${model.length}`);
      }
      backing.quick = true;
      while (backing.answerOne());
      const rest = await drain(queue);
      if (rest.join() !== model.join()) throw new Error('the rest differs');
      if (queue.bytes !== 0 || backing.blocks.size > 0) throw new Error('something is left behind');
    }),
    { numRuns: 100 },
  );
});

t.test('postings come back from their bytes', async (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          position: fc.integer({ min: 1, max: 2 ** 48 }),
          flags: fc.nat(6),
          identifiers: fc.oneof(
            fc.constant(undefined),
            fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 3 }),
          ),
          weight: fc.nat(300_000_000),
        }),
      ),
      (postings) => {
        const back = decodePostings(
          encodePostings(postings.map((posting) => ({ ...posting, message: undefined }))),
        );
        return JSON.stringify(back) === JSON.stringify(postings);
      },
    ),
  );
  t.pass();
});

t.test('what left while its block was put away does not come back with a later state', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(1000)) queue.push(backing.message(text), 1, undefined);
  queue.remove(400, 400);
  queue.remove(500, 600);
  const again = new DiskQueue(backing, queue.stateAt(1000));
  const left = await drain(again);
  const gone = (i: number): boolean => i === 399 || (i >= 499 && i <= 599);
  t.same(
    left,
    textsTo(1000).filter((_, i) => !gone(i)),
  );
  t.equal(again.bytes, 0);
});

t.test('a message that waits twice leaves as often as it was delivered, also by a later state', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(600)) {
    const message = backing.message(text);
    queue.push(message, 2, undefined);
    queue.push(message, 2, undefined);
  }
  queue.remove(300, 300);
  queue.remove(301, 301);
  queue.remove(301, 301);
  const again = new DiskQueue(backing, queue.stateAt(600));
  const left = await drain(again);
  const copiesOf = (text: string): number => left.filter((other) => other === text).length;
  t.same(['298', '299', '300', '301'].map(copiesOf), [2, 1, 0, 2]);
  t.equal(again.bytes, 0);
});

t.test('of a message that waits with two QoS the copy that left is taken out', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(200)) {
    const message = backing.message(text);
    for (const qos of [1, 2]) queue.push(message, qos, undefined);
  }
  // The first is in the head, the second in the tail.
  queue.remove(1, 1, 2);
  queue.remove(200, 200, 2);
  // An embedder may have it sent with another one.
  queue.remove(2, 2, 1);
  queue.remove(2, 2, 1);
  const left: string[] = [];
  while (queue.count > 0) {
    await readyOf(queue);
    left.push(`${Buffer.from(queue.headMessage.payload).toString()} ${queue.headFlags}`);
    queue.shift();
  }
  t.same(left.slice(0, 3), ['0 1', '2 1', '2 2']);
  t.same(left.slice(-3), ['198 1', '198 2', '199 1']);
  t.equal(queue.bytes, 0);
});

t.test('a range of messages is taken out wherever they wait', async (t) => {
  const backing = new FakeBacking();
  const queue = new DiskQueue(backing);
  for (const text of textsTo(600)) queue.push(backing.message(text), 1, undefined);
  queue.shift();
  queue.remove(250, 590);
  t.same(await drain(queue), [...textsTo(249).slice(1), ...textsTo(600).slice(590)]);
  t.equal(queue.bytes, 0);
  t.equal(queue.heldBytes, 0);
});

t.test(
  'a replay adds nothing that the state has seen; a message that is assigned later is added',
  async (t) => {
    const backing = new FakeBacking();
    const texts = textsTo(3).map((text) => ({ text, message: backing.message(text) }));
    const queue = new DiskQueue(backing, new DiskQueue(backing).stateAt(2));
    for (const { message } of texts) queue.replay(message, 1, undefined);
    t.equal(queue.count, 1);
    for (const { message } of texts.slice(0, 1)) queue.push(message, 1, undefined);
    t.same(await drain(queue), [texts[2]?.text, texts[0]?.text]);
  },
);

t.test('a message that comes behind newer ones keeps the log for it until it has left', async (t) => {
  const backing = new FakeBacking();
  const messages = textsTo(2000).map((text) => backing.message(text));
  const queue = new DiskQueue(backing);
  for (const message of messages) if (message.position !== 5) queue.push(message, 1, undefined);
  queue.remove(1, 4);
  t.equal(queue.floor, 6);
  queue.replayAssigned(messages[4] as Message, 1, undefined);
  for (const text of textsTo(10)) queue.push(backing.message(text), 1, undefined);
  t.equal(queue.floor, 5);
  const wanted = new Set<number>();
  await queue.collect(1, 8, wanted);
  t.same([...wanted].toSorted(), [5, 6, 7], 'though what waits between is newer than what is looked for');
  const again = new DiskQueue(backing, queue.stateAt(2010));
  const floors = new Set<number>();
  for (let left = 0; left < 1995; left++) {
    await readyOf(again);
    again.shift();
    floors.add(again.floor);
  }
  t.same([...floors], [5]);
  await readyOf(again);
  again.shift();
  t.equal(again.floor, 2001, 'it has left');
  t.equal((await drain(again)).length, 10);
  t.equal(again.floor, Infinity);
});

t.test('a late message that was taken out keeps nothing any more', (t) => {
  const backing = new FakeBacking();
  const messages = textsTo(20).map((text) => backing.message(text));
  const queue = new DiskQueue(backing);
  for (const at of [9, 2]) queue.push(messages[at] as Message, 1, undefined);
  queue.remove(3, 3);
  queue.remove(10, 10);
  queue.push(messages[19] as Message, 1, undefined);
  t.equal(queue.floor, 20);
  t.end();
});

t.test('whatever comes and leaves in whatever order, nothing that waits is before the floor', async () => {
  const step = fc.oneof(
    { weight: 9, arbitrary: fc.record({ kind: fc.constant('push' as const), by: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('shift' as const), by: fc.nat(3) }) },
    fc.record({ kind: fc.constant('remove' as const), by: fc.nat(1000) }),
    fc.record({ kind: fc.constant('restart' as const), by: fc.constant(0) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async (steps) => {
      let backing = new SmallBlocks();
      const messages = textsTo(400).map((text) => backing.message(text));
      let queue = new DiskQueue(backing);
      let waiting: number[] = [];
      let newest = 0;
      const late: Message[] = [];
      for (const { kind, by } of steps) {
        if (kind === 'push') {
          // Every fourth comes later than what follows it.
          if (by % 4 === 0) {
            const skipped = messages[newest++];
            if (skipped !== undefined) late.push(skipped);
          }
          const message =
            by % 3 === 0 && late.length > 0 ? late.splice(by % late.length, 1)[0] : messages[newest++];
          if (message === undefined) continue;
          queue.replayAssigned(message, 1, undefined);
          waiting.push(message.position);
        } else if (kind === 'shift') {
          for (let n = 0; n < by && queue.count > 0; n++) {
            await readyOf(queue);
            if (queue.headMessage.position !== waiting.shift()) throw new Error('another one was next');
            queue.shift();
          }
        } else if (kind === 'remove' && waiting.length > 0) {
          const position = waiting[by % waiting.length] as number;
          queue.remove(position, position);
          waiting = waiting.filter((other) => other !== position);
          if (waiting.length === 0) queue.clear();
        } else if (kind === 'restart') {
          const state = queue.stateAt(newest);
          for (const posting of [...state.head, ...state.tail]) posting.message = undefined;
          // What the one before is still about to do is not in the state.
          backing = backing.copy();
          queue = new DiskQueue(backing, state);
        }
        const lowest = Math.min(...waiting);
        if (queue.floor > lowest) throw new Error(`${lowest} waits, and the floor is ${queue.floor}`);
        const found = new Set<number>();
        await queue.collect(lowest, lowest + 1, found);
        if (waiting.length > 0 && !found.has(lowest)) throw new Error(`${lowest} was not found`);
      }
    }),
    { numRuns: 100 },
  );
});
