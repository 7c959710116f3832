import t from 'tap';
import { addresseeOf, decodeAck, type ReceiverGreeting } from '../../../../mesh/forward/frames.js';
import { SOON_POSITIONS } from '../../../../mesh/forward/limits.js';
import type { ReceiverOptions } from '../../../../mesh/forward/stream-receiver.js';
import { messageAt, NONCE, ORIGIN, ReceiverBench, SenderBench } from './fixture.js';

const EPOCH = { counter: 1, nonce: NONCE };

/** A receiver at `covered`, linked to a sender. */
function linked(covered = 0, options: ReceiverOptions = {}): { to: ReceiverBench; from: SenderBench } {
  const to = new ReceiverBench(options);
  if (covered > 0) to.receiver.restore({ origin: ORIGIN, epoch: EPOCH, covered, have: [] });
  const from = new SenderBench({ head: covered });
  const greeting: ReceiverGreeting = to.receiver.greet();
  from.sender.linkUp(greeting, { version: 1, matcher: (topic) => (topic === 'a' ? 1 : -1) });
  return { to, from };
}

function deliver(from: SenderBench, to: ReceiverBench): (string | undefined)[] {
  const frames = from.frames;
  from.frames = [];
  return frames.map((frame) => to.receiver.onFrame(frame)).filter((refusal) => refusal !== undefined);
}

t.test('messages come with their source, in order, before the record of what is covered', async (t) => {
  const { to, from } = linked();
  from.commit(
    messageAt(1, 'a', { expiresAt: 3000, properties: Uint8Array.of(1, 1) }),
    messageAt(2, 'a', { retain: true, publisher: 'größe' }),
  );
  t.same(deliver(from, to), []);
  t.same(to.sequences, [1, 2]);
  const [first, second] = to.messages;
  t.equal(first?.source, second?.source, 'one object for all');
  t.match(first?.source, { origin: ORIGIN, epoch: EPOCH });
  t.equal(first?.expiresAt, 50_000 + 2000, 'by its own clock');
  t.same([...(first?.properties ?? [])], [1, 1]);
  t.same([...(first?.payload ?? [])], [1]);
  t.equal(second?.publisher, 'größe');
  t.same(
    to.records.map(({ kind, upTo }) => `${kind} ${upTo}`),
    ['reset 0', 'covered 2'],
  );
});

t.test(
  'it catches up until all is durable that was in the log when the link began, wanted or not',
  async (t) => {
    const to = new ReceiverBench();
    to.receiver.restore({ origin: ORIGIN, epoch: EPOCH, covered: 1, have: [] });
    const from = new SenderBench({ head: 3 });
    from.write(messageAt(1), messageAt(2), messageAt(3, 'b'));
    const greeting = to.receiver.greet();
    to.receiver.linkBegan(3);
    from.sender.linkUp(greeting, { version: 1, matcher: (topic) => (topic === 'a' ? 1 : -1) });
    from.read();
    deliver(from, to);
    t.same(to.sequences, [2]);
    t.equal(to.receiver.isCatchingUp, true, 'it is not committed');
    to.commit();
    t.equal(to.receiver.isCatchingUp, false);
    from.commit(messageAt(4));
    deliver(from, to);
    t.equal(to.receiver.isCatchingUp, false, 'what is new is no backlog');
    to.receiver.linkBegan(5);
    t.equal(to.receiver.isCatchingUp, true);
    to.receiver.linkDown();
    t.equal(to.receiver.isCatchingUp, false, 'without a link there is nothing to wait for');
  },
);

t.test('nobody waits for a backlog that takes long', async (t) => {
  const to = new ReceiverBench();
  to.receiver.greet();
  to.receiver.linkBegan(SOON_POSITIONS);
  t.equal(to.receiver.isCatchingUp, true);
  to.receiver.linkBegan(SOON_POSITIONS + 1);
  t.equal(to.receiver.isCatchingUp, false);
});

t.test('the end of a backlog that nobody wants is told at once', async (t) => {
  const to = new ReceiverBench();
  to.receiver.restore({ origin: ORIGIN, epoch: EPOCH, covered: 0, have: [] });
  const from = new SenderBench({ head: 2 });
  from.write(messageAt(1, 'b'), messageAt(2, 'b'));
  const greeting = to.receiver.greet();
  to.receiver.linkBegan(2);
  from.sender.linkUp(greeting, { version: 1, matcher: () => -1 });
  from.read();
  deliver(from, to);
  to.commit();
  t.equal(to.receiver.isCatchingUp, false);
});

t.test('an acknowledgement leaves when the log has all of it', async (t) => {
  const { to, from } = linked();
  from.commit(messageAt(1));
  deliver(from, to);
  t.equal(to.acks.length, 0);
  to.receiver.committed(to.position - 1);
  t.equal(to.acks.map(decodeAck).at(-1)?.covered ?? 0, 0, 'the record is not committed');
  to.commit();
  const ack = to.acks.at(-1);
  t.equal(ack && decodeAck(ack).covered, 1);
  t.equal(from.sender.onFrame(ack ?? new Uint8Array()), undefined);
  t.equal(from.sender.status.unackedBytes, 0);
  t.equal(to.receiver.status.heldBytes, 0);
});

t.test(
  'without room what came waits, in order and within the credit, and is taken when there is some',
  async (t) => {
    const { to, from } = linked(0, { creditBytes: 2000 });
    to.hasRoom = false;
    for (let n = 1; n <= 60; n++) from.commit(messageAt(n, 'a', { payload: new Uint8Array(100) }));
    t.same(deliver(from, to), []);
    to.commit();
    t.same([to.sequences, to.receiver.tick()], [[], undefined]);
    t.ok(
      to.receiver.status.heldBytes > 1000 && to.receiver.status.heldBytes <= 2000,
      'the sender has stopped',
    );
    t.ok(from.sender.status.unackedBytes > 1000);
    to.hasRoom = true;
    for (let n = 0; n < 20; n++) {
      t.equal(to.receiver.tick(), undefined);
      to.commit();
      for (const ack of to.acks.splice(0)) from.sender.onFrame(ack);
      t.same(deliver(from, to), []);
    }
    t.same(
      to.sequences,
      Array.from({ length: 60 }, (_, n) => n + 1),
    );
    t.equal(to.receiver.status.covered, 60);
  },
);

t.test('what waits for room when a link ends is forgotten, and comes again', async (t) => {
  const { to, from } = linked();
  to.hasRoom = false;
  from.commit(messageAt(1));
  deliver(from, to);
  to.receiver.linkDown();
  to.hasRoom = true;
  t.equal(to.receiver.tick(), undefined);
  t.same(to.sequences, []);
  t.equal(to.receiver.greet().covered, 0);
});

t.test('a batch that came already is acknowledged again', async (t) => {
  const { to, from } = linked();
  from.commit(messageAt(1));
  const again = from.frames[1];
  deliver(from, to);
  to.commit();
  t.equal(to.receiver.onFrame(again ?? new Uint8Array()), undefined);
  t.same(to.sequences, [1]);
  t.equal(to.receiver.status.duplicateBatches, 1);
  t.equal(to.acks.length, 2);
});

t.test('what is not in its turn closes the link', async (t) => {
  const { to, from } = linked();
  from.commit(messageAt(1));
  from.commit(messageAt(2));
  const [begin, first, second] = from.frames;
  if (begin === undefined || first === undefined || second === undefined) throw new Error('three frames');
  t.match(new ReceiverBench().receiver.onFrame(begin), /down/);
  t.match(to.receiver.onFrame(first), /before the beginning/);
  to.receiver.greet();
  t.equal(to.receiver.onFrame(begin), undefined);
  t.match(to.receiver.onFrame(begin), /begins twice/);
  to.receiver.greet();
  to.receiver.onFrame(begin);
  t.match(to.receiver.onFrame(second), /has to begin/);
  t.match(to.receiver.onFrame(first), /down/, 'it stays closed');
  const ahead = linked(5);
  ahead.to.receiver.linkDown();
  const behind = new ReceiverBench();
  behind.receiver.restore({ origin: ORIGIN, epoch: EPOCH, covered: 3, have: [] });
  behind.receiver.greet();
  t.match(behind.receiver.onFrame(ahead.from.frames[0] ?? new Uint8Array()), /begins behind 5/);
});

t.test('more than was granted closes the link', async (t) => {
  const { to, from } = linked(0, { creditBytes: 100 });
  from.commit(messageAt(1));
  const frames = from.frames;
  const other = linked(0);
  for (let position = 1; position <= 4; position++) other.from.commit(messageAt(position));
  t.same(
    frames.map((frame) => to.receiver.onFrame(frame)),
    [undefined, undefined],
  );
  const refusals = other.from.frames.slice(2).map((frame) => to.receiver.onFrame(frame));
  t.ok(refusals.some((refusal) => refusal?.includes('granted')));
});

t.test('a hole is reported once, and the stream goes on behind it', async (t) => {
  const to = new ReceiverBench();
  const from = new SenderBench({ head: 5 });
  from.write(messageAt(1), messageAt(2), messageAt(5));
  from.lost = { from: 3, to: 4 };
  to.receiver.restore({ origin: ORIGIN, epoch: EPOCH, covered: 3, have: [] });
  from.sender.linkUp({ ...to.receiver.greet(), covered: 0 }, { version: 1, matcher: () => 1 });
  from.read();
  const batch = from.frames[1] ?? new Uint8Array();
  from.sender.linkUp(to.receiver.greet(), { version: 1, matcher: () => 1 });
  t.equal(to.receiver.onFrame(from.frames[2] ?? new Uint8Array()), undefined);
  t.equal(to.receiver.onFrame(batch), undefined, 'a batch that begins earlier');
  t.same(to.holes, ['4-4'], 'as far as it is news');
  t.same(to.sequences, [5]);
});

t.test('what comes ahead is remembered until it is covered, also over a restart', async (t) => {
  const { to, from } = linked();
  deliver(from, to);
  const interest = { version: 1, matcher: (): 1 => 1 };
  from.sender.linkUp(to.receiver.greet(), interest);
  from.sender.linkDown();
  from.commit(messageAt(1), messageAt(2));
  from.frames = [];
  from.sender.linkUp(to.receiver.greet(), interest);
  from.commit(messageAt(3, 'b'), messageAt(4, 'c'));
  t.same(deliver(from, to), []);
  t.same(to.sequences, [3, 4]);
  t.same(to.receiver.image?.have, [3, 4]);
  const other = new ReceiverBench();
  for (const record of to.records) other.receiver.replay(record);
  for (const message of to.messages) other.receiver.replayForwarded(message.sequence);
  t.same(other.receiver.image, to.receiver.image);
  from.sender.linkUp(other.receiver.greet(), interest);
  from.read();
  t.same(deliver(from, other), []);
  t.same(other.sequences, [1, 2]);
  t.same(other.receiver.image?.have, []);
  other.commit();
  t.match(other.receiver.status, { covered: 4, durable: 4, aheadCount: 0 });
});

t.test('more ahead than it remembers closes the link', async (t) => {
  const to = new ReceiverBench({ haveMax: 1 });
  const from = new SenderBench();
  const interest = { version: 1, matcher: (): 1 => 1 };
  from.sender.linkUp(to.receiver.greet(), interest);
  deliver(from, to);
  from.sender.linkDown();
  from.commit(messageAt(1));
  from.frames = [];
  from.sender.linkUp(to.receiver.greet(), interest);
  from.commit(messageAt(2, 'b'), messageAt(3, 'c'));
  const express = from.frames[1] ?? new Uint8Array();
  t.match(deliver(from, to), [/more than 1 messages ahead/]);
  const roomy = new ReceiverBench();
  from.sender.linkUp({ ...roomy.receiver.greet(), covered: 0 }, interest);
  t.equal(roomy.receiver.onFrame(from.frames[0] ?? new Uint8Array()), undefined);
  t.equal(roomy.receiver.onFrame(express), undefined);
  t.match(roomy.receiver.onFrame(express), /express batch 1 behind batch 1/);
});

t.test('a backfill fills what is missing and takes nothing twice', async (t) => {
  const { to, from } = linked();
  from.commit(messageAt(1), messageAt(2, 'b'), messageAt(3));
  deliver(from, to);
  t.equal(to.receiver.interestGrows(2), 3);
  from.commit(messageAt(4, 'b'), messageAt(5));
  from.sender.interestChanged(2, () => 1, 3);
  from.read();
  t.same(deliver(from, to), []);
  t.same(to.sequences, [1, 3, 5, 4]);
  to.commit();
  t.equal(to.receiver.image?.backfill, undefined);
  from.sender.onFrame(to.acks.at(-1) ?? new Uint8Array());
  t.equal(from.sender.status.isBackfilling, false);
});

t.test(
  'a backfill that is cut short goes on after a restart, and knows what came by the other lane',
  async (t) => {
    const { to, from } = linked();
    from.commit(messageAt(1));
    deliver(from, to);
    to.receiver.interestGrows(2);
    from.commit(messageAt(2), messageAt(3, 'b'));
    t.same(deliver(from, to), []);
    const other = new ReceiverBench();
    other.receiver.restore(to.receiver.image ?? { origin: ORIGIN, epoch: EPOCH, covered: 0, have: [] });
    t.same(other.receiver.image, to.receiver.image);
    t.same(other.receiver.image?.backfill, { id: 2, cursor: 1 });
    t.same(other.receiver.image?.have, [2]);
    from.sender.linkUp(other.receiver.greet(), { version: 2, matcher: () => 1 });
    from.read();
    t.same(deliver(from, other), []);
    t.same(other.sequences, [3]);
    t.equal(other.receiver.status.duplicates, 1);
  },
);

t.test('a backfill that nobody asked for closes the link', async (t) => {
  const { to, from } = linked();
  from.commit(messageAt(1));
  deliver(from, to);
  from.sender.interestChanged(2, () => 1, 1);
  t.match(deliver(from, to), [/not asked for/]);
});

t.test('an interest that grows before the link has begun waits for the beginning', async (t) => {
  const to = new ReceiverBench();
  t.equal(to.receiver.interestGrows(1), undefined, 'no link');
  const from = new SenderBench({ head: 4 });
  from.sender.linkUp(to.receiver.greet(), { version: 1, matcher: () => -1 });
  t.equal(to.receiver.interestGrows(2), 0);
  deliver(from, to);
  t.same(to.receiver.image?.backfill, { id: 2, cursor: 4 });
});

t.test('after a reset nothing beyond it is here', async (t) => {
  const to = new ReceiverBench();
  to.receiver.restore({
    origin: ORIGIN,
    epoch: EPOCH,
    covered: 10,
    have: [9, 12, 15],
    backfill: { id: 3, cursor: 8 },
  });
  to.receiver.reset(7, { counter: 2, nonce: 'ffffffffffffffff' });
  t.match(to.receiver.image, { covered: 7, have: [], backfill: { id: 3, cursor: 7 } });
  t.match(to.receiver.greet(), { covered: 7, durable: 7 });
  to.receiver.reset(9, EPOCH);
  t.equal(to.receiver.status.covered, 7, 'nothing comes back');
});

t.test('frames in parts come together, and nothing comes between them', async (t) => {
  const { to, from } = linked();
  from.commit(messageAt(1, 'a', { payload: new Uint8Array(1_200_000).fill(3) }));
  const [begin, ...parts] = from.frames;
  t.same(parts.map(addresseeOf), ['receiver', 'receiver', 'receiver']);
  to.receiver.onFrame(begin ?? new Uint8Array());
  for (const part of parts) t.equal(to.receiver.onFrame(part), undefined);
  t.equal(to.messages[0]?.payloadLength, 1_200_000);
  const small = linked(0, { wholeMaxBytes: 600_000 });
  small.to.receiver.onFrame(begin ?? new Uint8Array());
  t.match(
    parts.map((part) => small.to.receiver.onFrame(part)),
    [undefined, /more than 600000/],
  );
  const mixed = linked();
  mixed.to.receiver.onFrame(parts[0] ?? new Uint8Array());
  t.match(mixed.to.receiver.onFrame(begin ?? new Uint8Array()), /between the parts/);
  t.match(linked().to.receiver.onFrame(Uint8Array.of(5)), /empty part/);
});

t.test('noise closes the link and nothing else', async (t) => {
  for (const noise of [[], [99], [2], [2, 9], [16, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]]) {
    const { to } = linked();
    t.type(to.receiver.onFrame(Uint8Array.from(noise)), 'string', JSON.stringify(noise));
    t.equal(to.messages.length, 0);
  }
  t.equal(addresseeOf(Uint8Array.of(16)), 'sender');
  t.equal(addresseeOf(Uint8Array.of(77)), undefined);
});

t.test('a port that fails is not a fault of the peer', async (t) => {
  const { to, from } = linked();
  from.commit(messageAt(1));
  to.messages.push = (): number => {
    throw new RangeError('no room');
  };
  t.throws(() => deliver(from, to), RangeError);
});
