/** A gateway that archives for others, and a test that plays those: what they may have done, how much of it, and what it costs when they lie. */
import t from 'tap';
import type {
  BodyReader,
  ObjectAnswer,
  ObjectRequest,
} from '../../../../bridge/archive/relay/object-request.js';
import {
  BODIES_MAX_BYTES,
  OBJECT_MAX_BYTES,
  PULL_BYTES,
  PULL_WITHIN_MS,
  PULLED_MAX_BYTES,
  READ_MAX_BYTES,
  REQUESTS_MAX_COUNT,
  REQUESTS_PER_SECOND,
} from '../../../../bridge/archive/relay/limits.js';
import { PullWindow, pulledBytesAfter } from '../../../../bridge/archive/relay/pull-window.js';
import {
  answerOf,
  decodeFrame,
  encodeFrame,
  encodeRequest,
  type RelayFrame,
} from '../../../../bridge/archive/relay/relay-frames.js';
import { RelayServer } from '../../../../bridge/archive/relay/relay-server.js';
import { isOwnKey } from '../../../../bridge/archive/relay/served-keys.js';
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { IdleTime, idOf, SELF } from '../../../support/relay-world.js';

const OTHER = idOf(2);
const PIECE_BYTES = 8 * 1_048_576;
const own = (number: number): string => `manifest/${SELF}/entries/${String(number).padStart(12, '0')}.json`;

interface Asked {
  readonly request: ObjectRequest;
  readonly read: BodyReader;
  readonly answer: (answer: ObjectAnswer) => void;
}

class World {
  readonly time = new IdleTime();
  readonly server: RelayServer;
  readonly asked: Asked[] = [];
  readonly sent = new Map<GatewayId, RelayFrame[]>();
  takes = true;

  constructor(frameMaxBytes = READ_MAX_BYTES) {
    this.server = new RelayServer(
      {
        ...{ clock: this.time, timers: this.time, frameMaxBytes },
        ask: (request, read) => new Promise((answer) => this.asked.push({ request, read, answer })),
        send: (to, bytes) => {
          const frame = decodeFrame(bytes);
          if (this.takes && typeof frame === 'object')
            this.sent.set(to, [...(this.sent.get(to) ?? []), frame]);
          return this.takes;
        },
      },
      { pieceMaxBytes: PIECE_BYTES },
    );
    this.link(SELF);
  }

  link(id: GatewayId): void {
    this.server.linked({ id, site: 'mill', isRelayed: false });
  }

  ask(id: number, request: ObjectRequest, from = SELF): string | undefined {
    return this.server.onFrame(from, encodeRequest(id, request));
  }

  part(id: number, offset: number, bytes: Uint8Array | number, from = SELF): string | undefined {
    const rest = typeof bytes === 'number' ? new Uint8Array(bytes) : bytes;
    return this.server.onFrame(from, encodeFrame('part', id, [offset], rest));
  }

  /** What was sent since the last time. */
  take(to = SELF): RelayFrame[] {
    const frames = this.sent.get(to) ?? [];
    this.sent.delete(to);
    return frames;
  }

  /** Until nothing more happens by itself. */
  async turn(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }

  /** Until the store was asked the n-th time: there are not so many requests in a second. */
  async until(n: number): Promise<void> {
    for (await this.turn(); this.asked.length <= n; await this.turn()) this.time.next();
  }

  /** The n-th request that reached the store. */
  at(n: number): Asked {
    const found = this.asked[n];
    if (found === undefined) throw new Error(`${this.asked.length} were asked`);
    return found;
  }
}

t.test('a gateway gets at its own objects and at no others', async (t) => {
  const data = (start: string, more = ''): string =>
    `data/date=2026-11-30/prefix=a/${start}-1-6-55${more}-ef42b6ca.parquet`;
  const start = SELF.slice(0, 16);
  for (const key of [
    own(1),
    `manifest/${SELF}/pages/000000000001.jsonl`,
    data(start),
    `data/date=2026-11-30/hour=07/prefix=a%2Fb/${start}-1-6-55-ef42b6ca.ndjson`,
  ])
    t.ok(isOwnKey(SELF, key), key);
  for (const key of [
    '',
    'archive-id',
    'probe/0011',
    'manifest',
    `manifest/${OTHER}/entries/000000000001.json`,
    `manifest/${OTHER}/entries/../../${SELF}/entries/000000000001.json`,
    `manifest/${SELF}/entries/1.json`,
    `manifest/${SELF}/entries/000000000001.json/x`,
    `manifest/${SELF}/merges/000000000001.json`,
    `manifest/${SELF}/../${OTHER}/entries/000000000001.json`,
    data(OTHER.slice(0, 16)),
    data(start, '-m7'),
    `data/../manifest/${start}-1-6-55-ef42b6ca.parquet`,
    `data/${'x'.repeat(1200)}/${start}-1-6-55-ef42b6ca.parquet`,
  ])
    t.notOk(isOwnKey(SELF, key), key);
  const world = new World();
  t.match(world.take(), [{ kind: 'offer', numbers: [1] }]);
  for (const [id, request] of [
    { kind: 'stat' as const, key: own(1).replace(SELF, OTHER) },
    { kind: 'read' as const, key: 'archive-id', offset: 0, length: 1 },
    { kind: 'create' as const, key: data(OTHER.slice(0, 16)), length: 1 },
    { kind: 'create' as const, key: own(1), length: OBJECT_MAX_BYTES + 1 },
  ].entries()) {
    t.equal(world.ask(id, request), undefined);
    const [frame] = world.take();
    t.match(frame && answerOf(frame), { kind: 'fault', fault: 'denied' });
  }
  await world.turn();
  t.equal(world.asked.length, 0, 'the store hears of none of it');
  t.match(world.server.counts, { refused: 4, done: 0 });
});

t.test('what the store says goes back to whoever asked', async (t) => {
  const world = new World(1000);
  world.take();
  world.ask(1, { kind: 'stat', key: own(1) });
  world.ask(2, { kind: 'read', key: own(1), offset: 5, length: 1_000_000 });
  await world.turn();
  world.time.next();
  await world.turn();
  t.match(world.at(1).request, { kind: 'read', offset: 5, length: 1000 }, 'as much as goes into a frame');
  world.at(1).answer({ kind: 'bytes', bytes: Buffer.from('abc'), isEnd: true });
  world.at(0).answer({ kind: 'fault', fault: 'full', text: 'no room' });
  await world.turn();
  t.match(
    world.take().map((frame) => [frame.id, answerOf(frame)]),
    [
      [2, { kind: 'bytes', isEnd: true }],
      [1, { kind: 'fault', fault: 'full', text: 'no room' }],
    ],
  );
  t.match(world.server.counts, { done: 1, failed: 1 });
});

t.test('a body is pulled in pieces, in order, and nothing else is taken', async (t) => {
  const world = new World();
  world.take();
  const length = 100_000;
  world.ask(1, { kind: 'create', key: own(1), length });
  await world.turn();
  const { read, answer } = world.at(0);
  t.equal(world.take().length, 0, 'nothing is pulled before the store wants it');
  const body = read(0, length);
  t.match(world.take(), [{ kind: 'pull', id: 1, numbers: [0, PULL_BYTES] }]);
  const bytes = Buffer.alloc(length, 'body ');
  t.equal(world.part(1, 0, bytes.subarray(0, 10_000)), undefined);
  t.match(world.part(1, 0, 10), /sent 10 bytes at 0 of an object, which nobody asked for/, 'twice');
  t.match(world.part(1, 20_000, 10), /nobody asked for/, 'out of order');
  t.match(world.part(1, 10_000, PULL_BYTES), /nobody asked for/, 'more than was pulled');
  t.match(world.part(1, 10_000, 0), /nobody asked for/, 'nothing at all');
  let at = 10_000;
  let until = PULL_BYTES;
  while (at < length) {
    t.equal(world.part(1, at, bytes.subarray(at, until)), undefined);
    at = until;
    for (const { kind, numbers } of world.take()) {
      t.equal(kind, 'pull');
      t.equal(numbers[0], until);
      until += numbers[1] ?? 0;
    }
  }
  t.ok(bytes.equals(await body));
  t.equal(world.part(1, 0, 10), undefined, 'what nobody waits for is passed over');
  t.equal(world.part(99, 0, 10), undefined);
  await t.rejects(read(0, length + 1), { message: /cannot be read now/ });
  await t.rejects(read(0, PIECE_BYTES + 1), { message: /cannot be read now/ });
  t.equal((await read(length, 0)).length, 0);
  answer({ kind: 'is', value: true });
  await world.turn();
  t.match(world.take().map(answerOf), [{ kind: 'is', value: true }]);
  t.match(world.server.counts, { done: 1, bytes: length });
});

t.test(
  'a body that does not come is waited for no longer than is said, and one that is gone not at all',
  async (t) => {
    const world = new World();
    world.ask(1, { kind: 'create', key: own(1), length: 10 });
    await world.turn();
    const before = world.time.now();
    const late = world.at(0).read(0, 10);
    world.time.next();
    await t.rejects(late, { message: `it sent nothing for ${PULL_WITHIN_MS / 1000} s` });
    t.equal(world.time.now() - before, PULL_WITHIN_MS);
    await t.rejects(world.at(0).read(0, 10), { message: /it sent nothing/ }, 'nor is it asked for again');
    world.at(0).answer({ kind: 'fault', fault: 'other', text: 'no body' });
    await world.turn();
    world.ask(2, { kind: 'create', key: own(1), length: 10 });
    await world.until(1);
    const gone = world.at(1).read(0, 10);
    world.server.onFrame(SELF, encodeFrame('noPart', 2, [], 'the disk is gone'));
    await t.rejects(gone, { message: 'the disk is gone' });
    world.at(1).answer({ kind: 'fault', fault: 'other', text: 'no body' });
    await world.turn();
    world.ask(3, { kind: 'create', key: own(1), length: 10 });
    await world.until(2);
    const cut = world.at(2).read(0, 10);
    world.server.unlinked(SELF);
    await t.rejects(cut, { message: 'the link to it broke' });
    world.link(SELF);
    world.take();
    world.at(2).answer({ kind: 'is', value: false });
    await world.turn();
    t.same(world.take(), [], 'the new link knows nothing of what was asked on the old one');
    world.ask(3, { kind: 'create', key: own(1), length: 10 });
    await world.until(3);
    world.takes = false;
    await t.rejects(world.at(3).read(0, 10), { message: 'the link to it broke' });
  },
);

t.test('one gateway has so many requests under way and no more, and so many in a second', async (t) => {
  const world = new World();
  world.take();
  for (let id = 1; id <= REQUESTS_MAX_COUNT; id++)
    t.equal(world.ask(id, { kind: 'stat', key: own(id) }), undefined);
  t.match(world.ask(1, { kind: 'stat', key: own(1) }), /two things under one number/);
  world.ask(100, { kind: 'stat', key: own(1) });
  t.match(world.take().map(answerOf), [{ kind: 'fault', fault: 'busy' }]);
  const before = world.time.now();
  await world.turn();
  t.equal(world.asked.length, 1);
  for (let n = 1; n < REQUESTS_MAX_COUNT; n++) {
    world.time.next();
    await world.turn();
  }
  t.equal(world.asked.length, REQUESTS_MAX_COUNT);
  t.equal(world.time.now() - before, ((REQUESTS_MAX_COUNT - 1) * 1000) / REQUESTS_PER_SECOND);
  world.takes = false;
  t.match(world.ask(101, { kind: 'stat', key: own(1) }), /asks for more than it takes answers/);
});

t.test(
  'bodies of all gateways together have so much room, and each gateway sends one at a time',
  async (t) => {
    const world = new World();
    const count = BODIES_MAX_BYTES / PIECE_BYTES;
    for (let n = 0; n <= count; n++) {
      const id = idOf(10 + n);
      world.link(id);
      world.ask(1, { kind: 'create', key: own(1).replace(SELF, id), length: 1_000_000_000 }, id);
    }
    world.ask(2, { kind: 'create', key: own(2).replace(SELF, idOf(10)), length: 5 }, idOf(10));
    await world.turn();
    world.time.next();
    await world.turn();
    t.equal(world.asked.length, count);
    world.server.unlinked(idOf(10 + count));
    world.at(0).answer({ kind: 'is', value: true });
    await world.turn();
    t.match(
      world.asked.slice(count).map(({ request }) => request),
      [{ length: 5 }],
      'whoever has gone is passed over',
    );
  },
);

t.test('pieces that are on their way are no more than live traffic can bear', async (t) => {
  t.equal(pulledBytesAfter(100_000, PULL_BYTES, 0, 10), 100_000 + PULL_BYTES);
  t.equal(pulledBytesAfter(100_000, PULL_BYTES, 10, 10), 100_000);
  t.equal(pulledBytesAfter(100_000, PULL_BYTES, 1000, 10), 100_000 - PULL_BYTES / 2);
  t.equal(pulledBytesAfter(PULLED_MAX_BYTES, PULL_BYTES, 0, 10), PULLED_MAX_BYTES);
  t.equal(pulledBytesAfter(PULL_BYTES, PULL_BYTES, 1000, 10), PULL_BYTES);
  const window = new PullWindow();
  let onWay = 0;
  /** As much as may be, and one more piece that took so long. */
  const step = (tookMs: number): number => {
    for (; window.hasRoom; onWay++) window.asked(PULL_BYTES);
    window.came(PULL_BYTES, tookMs);
    return onWay--;
  };
  t.equal(step(1), 1, 'it begins with one');
  for (let n = 0; n < 20; n++) step(1);
  const quick = step(1);
  t.ok(quick > 4, `${quick} pieces where they come at once`);
  for (let n = 0; n < 40; n++) step(500);
  t.equal(step(500), 1, 'and one where they wait');
});

t.test('what cannot be read ends the link, and whoever has none is not listened to', async (t) => {
  const world = new World();
  t.match(world.server.onFrame(SELF, Buffer.from([1])), /cannot be read/);
  t.equal(world.server.onFrame(SELF, Buffer.from([77, 0, 0, 0, 0])), undefined, 'of a later version');
  t.equal(world.server.onFrame(OTHER, encodeRequest(1, { kind: 'identify' })), undefined);
  t.equal(world.server.onFrame(SELF, encodeFrame('is', 1, [1])), undefined, 'an answer to nothing');
  await world.turn();
  t.equal(world.asked.length, 0);
});
