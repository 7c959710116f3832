import t from 'tap';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { compareVersions, type RetainedVersion } from '../../../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../../../lib/message/message.js';
import {
  RetainedIndex,
  RetainedMerge,
  RetainedSync,
  TombstoneKeeper,
} from '../../../../mesh/retained/index.js';
import { TICKS_MAX_COUNT } from '../../../../mesh/retained/limits.js';
import { decodeControl, encodeState } from '../../../../mesh/retained/retained-frames.js';
import { ByteReader, MalformedFrame } from '../../../../mesh/wire/bytes.js';

const idOf = (n: number): GatewayId => gatewayIdOf(new Uint8Array(32).fill(n));
const A = idOf(1);
const B = idOf(2);

function version(counter: number, fields: Partial<RetainedVersion> = {}): RetainedVersion {
  return {
    counter,
    origin: A,
    epoch: { counter: 1, nonce: '0123456789abcdef' },
    sequence: counter,
    ...fields,
  };
}

/** One gateway with a map for a store. */
class Side {
  readonly index = new RetainedIndex();
  readonly merge = new RetainedMerge();
  readonly messages = new Map<string, Message>();
  readonly keeper: TombstoneKeeper;
  readonly out: Uint8Array[] = [];
  readonly sync: RetainedSync;
  applied = 0;
  rounds = 0;
  now = 1_000;
  members: GatewayId[];
  coveredOf = 0;
  roster = 1;
  room = Infinity;
  isCaughtUp = true;
  durable: (() => void)[] | undefined = undefined;
  remembered = 0;

  constructor(
    readonly self: GatewayId,
    peer: GatewayId,
    maxCount?: number,
  ) {
    this.members = [peer];
    this.keeper = new TombstoneKeeper(
      {
        self,
        members: () => this.members,
        rosterVersion: () => this.roster,
        coveredOf: () => this.coveredOf,
        drop: (topic, gone) => {
          this.merge.forgot(gone);
          this.index.changed(topic, undefined);
        },
        remember: () => this.remembered++,
      },
      { firstTick: 1000, maxCount },
    );
    this.sync = new RetainedSync(self, peer, {
      index: this.index,
      merge: this.merge,
      keeper: this.keeper,
      now: () => this.now,
      random: () => 0.5,
      send: (frame) => this.out.push(frame) < this.room,
      read: (topic) => this.messages.get(topic),
      apply: (topic, is, message) => this.apply(topic, is, message),
      discard: (topic) => {
        this.messages.delete(topic);
        this.index.changed(topic, undefined);
      },
      isCaughtUp: () => this.isCaughtUp,
      whenDurable: (done) => (this.durable === undefined ? done() : void this.durable.push(done)),
      sourceOf: (origin, epoch) => ({ origin, epoch }),
      head: () => 10,
      rosterVersion: () => this.roster,
      completed: () => this.rounds++,
    });
  }

  apply(topic: string, is: RetainedVersion, message: Message | undefined): boolean {
    if (this.merge.judge(this.index.versionOf(topic), is, message === undefined) !== 'wins') return false;
    this.applied++;
    this.set(topic, is, message);
    return true;
  }

  set(topic: string, is: RetainedVersion, message: Message | undefined): void {
    this.index.changed(topic, is, message === undefined ? 'tombstone' : 'message');
    if (message === undefined) {
      this.messages.delete(topic);
      this.keeper.buried(topic, is);
    } else {
      this.messages.set(topic, message);
      this.keeper.unburied(topic);
    }
  }

  put(topic: string, is: RetainedVersion, payload: string | Uint8Array = topic, expiresAt = Infinity): void {
    this.set(
      topic,
      is,
      createMessage({
        topic,
        topicBytes: new Uint8Array(0),
        payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
        properties: Uint8Array.of(1, 2, 3),
        qos: 2,
        retain: true,
        publisher: 'device',
        expiresAt,
      }),
    );
  }
}

function pair(maxCount?: number): { a: Side; b: Side; link: () => void; settle: () => number } {
  const a = new Side(A, B, maxCount);
  const b = new Side(B, A, maxCount);
  const settle = (): number => {
    let bytes = 0;
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const frame = from.out.shift();
        if (frame === undefined) continue;
        moved = true;
        bytes += frame.length;
        to.sync.received(frame);
        if (from.out.length === 0) from.sync.drained();
      }
    }
    return bytes;
  };
  const link = (): void => {
    b.sync.start();
    a.sync.start();
  };
  return { a, b, link, settle };
}

t.test('versions are in one order: counter, origin, epoch, nonce, sequence', async (t) => {
  const ascending = [
    version(1, { origin: B, sequence: 9 }),
    version(2, { sequence: 8 }),
    version(2, { origin: B, sequence: 7 }),
    version(2, { origin: B, epoch: { counter: 2, nonce: '0000000000000000' }, sequence: 6 }),
    version(2, { origin: B, epoch: { counter: 2, nonce: '0000000000000001' }, sequence: 5 }),
    version(2, { origin: B, epoch: { counter: 2, nonce: '0000000000000001' }, sequence: 6 }),
  ];
  for (const [i, one] of ascending.entries())
    for (const [j, other] of ascending.entries())
      t.equal(Math.sign(compareVersions(one, other)), Math.sign(i - j), `${i} and ${j}`);
});

t.test('the higher version wins, and counters go on above what was forgotten', async (t) => {
  const merge = new RetainedMerge();
  t.equal(merge.judge(undefined, version(1), false), 'wins');
  t.equal(merge.judge(version(1), version(2), true), 'wins');
  t.equal(merge.judge(version(2), version(1), false), 'loses');
  t.equal(merge.judge(version(2), version(2), false), 'same');
  t.equal(merge.nextCounter(version(2)), 3);
  t.equal(merge.nextCounter(undefined), 1);
  merge.forgot(version(7));
  t.equal(merge.nextCounter(version(2)), 8);
  t.equal(merge.judge(undefined, version(7), true), 'loses', 'there is nothing to remove');
  t.equal(merge.judge(undefined, version(8), true), 'wins');
  t.equal(new RetainedMerge(4).floor, 4);
});

t.test('digests depend on what is retained, not on the order in which it came', async (t) => {
  const one = new RetainedIndex();
  const other = new RetainedIndex();
  for (let n = 1; n <= 100; n++) one.changed(`t/${n}`, version(n));
  for (let n = 100; n >= 1; n--) other.changed(`t/${n}`, version(n));
  t.same(one.root, other.root);
  one.changed('t/5', version(6), 'tombstone');
  t.notSame(one.root, other.root);
  one.changed('t/5', undefined);
  other.changed('t/5', undefined);
  t.same(one.root, other.root);
  t.equal(one.count, 99);
  one.changed('$SYS/a', version(1));
  t.equal(one.count, 99, 'that is each gateway’s own');
});

t.test('two gateways come to retain the same, and carry only what differs', async (t) => {
  const { a, b, link, settle } = pair();
  for (let n = 1; n <= 2_000; n++) for (const side of [a, b]) side.put(`same/${n}`, version(n));
  for (let n = 1; n <= 10; n++) a.put(`a/${n}`, version(n));
  for (let n = 1; n <= 10; n++) b.put(`b/${n}`, version(n, { origin: B }));
  a.put('both', version(4), 'older');
  b.put('both', version(5), 'newer');
  a.put('tie', version(4), 'a');
  b.put('tie', version(4, { origin: B }), 'b');
  b.set('gone', version(3), undefined);
  a.put('gone', version(2));
  link();
  t.ok(settle() < 25_000);
  t.same(a.index.root, b.index.root);
  t.equal(a.applied, 13);
  t.equal(b.applied, 10);
  t.equal(Buffer.from(a.messages.get('tie')?.payload ?? []).toString(), 'b');
  t.equal(a.messages.has('gone'), false);
  const came = a.messages.get('b/3');
  t.match(came, {
    qos: 2,
    publisher: 'device',
    retain: true,
    sequence: 3,
    retainedCounter: 3,
    source: { origin: B },
  });
  t.same(came?.properties, Uint8Array.of(1, 2, 3));
  t.equal(b.messages.get('a/3')?.source?.origin, A);
  t.equal(a.sync.nextDeadlineMs, 1_200, 'soon again, as something was carried');
  a.now = 1_200;
  a.sync.tick(1_200);
  t.ok(settle() < 500);
  t.equal(a.sync.nextDeadlineMs, 61_200);
  t.equal(b.sync.nextDeadlineMs, undefined);
  t.equal(a.rounds, 2);
  t.equal(b.rounds, 2);
});

t.test('the first round of a link waits for the streams on both sides, but not for ever', async (t) => {
  const { a, b, link, settle } = pair();
  a.put('topic', version(1));
  a.isCaughtUp = false;
  b.isCaughtUp = false;
  link();
  a.sync.requestRound();
  b.sync.requestRound();
  settle();
  t.equal(a.sync.isRunning, false);
  t.equal(a.sync.nextDeadlineMs, 11_000);
  a.isCaughtUp = true;
  a.sync.tick(1_050);
  settle();
  t.equal(a.sync.isRunning, true, 'the other side holds its answer back');
  t.equal(b.sync.isRunning, false);
  b.isCaughtUp = true;
  b.sync.tick(1_100);
  settle();
  t.ok(b.messages.has('topic'));
  t.equal(a.rounds, 1);

  a.put('another', version(1));
  a.isCaughtUp = false;
  link();
  a.sync.tick(10_999);
  settle();
  t.notOk(b.messages.has('another'));
  a.sync.tick(11_000);
  settle();
  t.ok(b.messages.has('another'), 'something is slow');
});

t.test('either side may ask for a round', async (t) => {
  const { a, b, link, settle } = pair();
  b.sync.requestRound();
  link();
  settle();
  b.put('late', version(1));
  b.sync.requestRound();
  settle();
  t.ok(a.messages.has('late'));
  a.put('later', version(1));
  a.sync.requestRound();
  t.equal(a.sync.isRunning, true);
  a.sync.requestRound();
  settle();
  t.ok(b.messages.has('later'));
});

t.test(
  'a message that is larger than a frame comes in pieces, one that expires with what is left',
  async (t) => {
    const { a, b, link, settle } = pair();
    const large = new Uint8Array(700_000).map((_, n) => n % 251);
    a.put('large', version(1), large);
    a.put('expires', version(1), 'soon', 6_000);
    a.put('expired', version(1), 'gone', 900);
    b.now = 50_000;
    link();
    settle();
    t.same(b.messages.get('large')?.payload, Buffer.from(large));
    t.equal(b.messages.get('expires')?.expiresAt, 55_000);
    t.equal(b.messages.has('expired'), false);
    t.equal(a.rounds, 1);
  },
);

t.test('no more is on its way than the window, and nothing while the link is full', async (t) => {
  const { a, b, link, settle } = pair();
  for (let n = 0; n < 40; n++) a.put(`t/${n}`, version(1), new Uint8Array(100_000).fill(n));
  link();
  for (let turn = 0; turn < 6; turn++) {
    for (const frame of a.out.splice(0)) b.sync.received(frame);
    const waiting = b.out.splice(0);
    for (const frame of waiting) a.sync.received(frame);
    const bytes = a.out.reduce((sum, { length }) => sum + length, 0);
    t.ok(bytes < 1_048_576 + 262_144, `${bytes} bytes`);
  }
  a.room = 1;
  settle();
  t.equal(b.messages.size, 40);
});

t.test('a link that breaks leaves nothing behind that the next one stumbles over', async (t) => {
  const { a, b, link, settle } = pair();
  for (let n = 0; n < 400; n++) a.put(`t/${n}`, version(1), new Uint8Array(20_000));
  a.durable = [];
  link();
  a.sync.stop();
  for (const done of a.durable.splice(0)) done();
  t.equal(a.out.length, 0, 'that link is gone');
  a.durable = undefined;
  b.sync.received(Uint8Array.of(12));
  link();
  for (let turn = 0; turn < 8; turn++) {
    const frame = a.out.shift();
    if (frame !== undefined) b.sync.received(frame);
    const back = b.out.shift();
    if (back !== undefined) a.sync.received(back);
  }
  a.out.length = 0;
  b.out.length = 0;
  b.sync.stop();
  a.sync.stop();
  b.sync.received(Uint8Array.of(99));
  a.sync.drained();
  link();
  settle();
  t.same(a.index.root, b.index.root);
});

t.test(
  'a tombstone goes when every member has it, by its own word, and its stream has come as far',
  async (t) => {
    const { a, b, link, settle } = pair();
    const again = (): void => {
      a.sync.requestRound();
      settle();
    };
    a.put('t', version(1));
    link();
    settle();
    a.set('t', version(2), undefined);
    again();
    t.equal(b.index.entryOf('t')?.kind, 'tombstone');
    t.equal(a.keeper.count, 1);
    again();
    again();
    t.equal(a.keeper.count, 1, 'the stream is behind');
    a.coveredOf = b.coveredOf = 10;
    a.roster = 2;
    again();
    b.roster = 2;
    a.keeper.sweep();
    again();
    again();
    t.equal(a.keeper.count, 0);
    t.equal(b.keeper.count, 0);
    t.equal(a.index.count, 0);
    t.equal(a.merge.nextCounter(undefined), 3);
    t.equal(a.keeper.forcedCount, 0);
    t.ok(a.remembered > 0);
  },
);

t.test('who slept through removals that are forgotten does not bring back what was removed', async (t) => {
  const { a, b, link, settle } = pair();
  a.put('removed', version(5));
  a.put('kept', version(2));
  link();
  settle();
  a.sync.stop();
  b.sync.stop();
  a.members = [];
  a.set('removed', version(6), undefined);
  a.keeper.memberLeft(B);
  t.equal(a.keeper.count, 0);
  b.put('below', version(3, { origin: B }));
  b.put('above', version(9, { origin: B }));
  b.set('kept', version(3, { origin: B }), undefined);
  t.equal(a.keeper.isSuspect(B, 3, 5, a.merge.floor), true);
  t.equal(a.keeper.isSuspect(B, 3, 9, a.merge.floor), false);
  a.members = [B];
  link();
  settle();
  t.same([...a.messages.keys()], ['above']);
  t.same([...b.messages.keys()], ['above']);
  t.equal(a.index.entryOf('kept')?.kind, 'tombstone', 'removals count');
  a.sync.requestRound();
  settle();
  t.equal(a.keeper.isSuspect(B, 11, 5, a.merge.floor), false, 'it knows by now');
  t.equal(a.keeper.isSuspect(B, 10, 5, a.merge.floor), true);
});

t.test('a newcomer brings what is its own', async (t) => {
  const { a, b, link, settle } = pair();
  a.members = [];
  a.put('t', version(7));
  a.set('t', version(8), undefined);
  a.keeper.sweep();
  a.keeper.completed(
    { floor: 0, head: 0, rosterVersion: 1, known: [[idOf(3), 4]], dropped: [] },
    { floor: 0, head: 0, rosterVersion: 1, known: [[idOf(3), 4]], dropped: [[idOf(3), 9]] },
  );
  t.equal(a.keeper.isNewcomer, true, 'what went meanwhile is not known');
  b.put('own', version(1, { origin: B }));
  b.put('of another', version(1, { origin: idOf(3) }));
  link();
  settle();
  t.same([...a.messages.keys()], ['own']);
  t.same([...b.messages.keys()], ['own']);
});

t.test('over the limit the oldest tombstones go, and whoever lacks them has to resync', async (t) => {
  const { a, b, link, settle } = pair(200);
  a.put('t', version(1));
  link();
  settle();
  a.sync.stop();
  b.sync.stop();
  a.set('t', version(2), undefined);
  for (let n = 0; n < 200; n++) a.set(`x/${n}`, version(3), undefined);
  t.equal(a.keeper.count, 198);
  t.equal(a.keeper.forcedCount, 3);
  t.equal(a.keeper.peerMustResync(b.keeper.known), true);
  link();
  settle();
  t.equal(b.messages.size, 0);
});

t.test('of more gateways than are told of nothing is learnt', async (t) => {
  const node = new Side(A, B);
  const idAt = (n: number): GatewayId => gatewayIdOf(Buffer.alloc(32).fill(`gateway ${n} `));
  const ticks = Array.from({ length: TICKS_MAX_COUNT + 100 }, (_, n) => [idAt(n), 1] as const);
  const state = { floor: 0, head: 0, rosterVersion: 1, known: ticks, dropped: ticks };
  node.keeper.learned(B, state);
  node.keeper.completed(state, state);
  t.equal(node.keeper.dropped.length, TICKS_MAX_COUNT - 1);
  t.equal(node.keeper.known.length, TICKS_MAX_COUNT, 'with its own');
  const { known, dropped } = node.keeper;
  const reader = new ByteReader(encodeState('equal', 1, { ...state, known, dropped }));
  t.equal(decodeControl(reader.u8(), reader).kind, 'equal', 'others understand it');
});

t.test('a shadow is known of and not sent', async (t) => {
  const { a, b, link, settle } = pair();
  a.index.changed('t', version(1), 'shadow');
  a.index.changed('u', version(2), 'shadow');
  b.put('u', version(1));
  b.put('t', version(1));
  link();
  settle();
  t.equal(a.messages.size, 0);
  t.equal(a.rounds, 1);
});

t.test('frames out of turn are malformed', async (t) => {
  const { a, b, link } = pair();
  link();
  const root = a.out[0] ?? new Uint8Array();
  t.throws(() => a.sync.received(root), MalformedFrame);
  b.sync.received(root);
  t.equal(b.out.length, 1);
  b.sync.stop();
  b.out.length = 0;
  b.put('t', version(1));
  b.sync.start();
  b.sync.received(root);
  t.throws(() => b.sync.received(root), /out of turn/);
  t.throws(() => b.sync.received(Uint8Array.of(8, 7)), /no round/);
  t.throws(() => b.sync.received(Uint8Array.of(5, 1, 1)), /did not begin/);
  t.throws(() => a.sync.received(Uint8Array.of(8, 1)), /began the round/);
  t.throws(() => a.sync.received(Uint8Array.of(5, 1, 1)), /without a beginning/);
  t.throws(() => a.sync.received(Uint8Array.of(11, 100, 1)), MalformedFrame);
  t.throws(() => a.sync.received(Uint8Array.of(11, 127)), /more has arrived/);
  t.throws(() => a.sync.received(Uint8Array.of(77, 1)), /no frame/);
  t.throws(() => a.sync.received(Uint8Array.of(15, 1)), /piece/);
  t.throws(() => a.sync.received(new Uint8Array()), MalformedFrame);
});
