/** Interest against naive models, over links that break, and against what no peer of this protocol sends. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { gatewayIdOf, type GatewayId } from '../../lib/contracts/gateway-id.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { isValidTopicFilter, isValidTopicName, topicMatchesFilter } from '../../lib/protocol/topic.js';
import {
  decodeInterest,
  encodeUpdate,
  InterestReceiver,
  InterestSender,
  intersect,
  LocalInterest,
  RemoteInterest,
} from '../../mesh/interest/index.js';
import { MalformedFrame } from '../../mesh/wire/bytes.js';

const level = fc.constantFrom('a', 'b', '', '$s');
const topic = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter(isValidTopicName);
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.integer({ min: 0, max: 2 }))
  .map(([levels, end]) => (end === 0 ? [...levels, '#'] : levels).join('/'))
  .filter(isValidTopicFilter);
const qos = fc.constantFrom<QoS>(0, 1, 2);
const peerOf = (n: number): GatewayId => gatewayIdOf(new Uint8Array(32).fill(n));

/** Every topic of up to five levels of a small alphabet. */
function* allTopics(): Generator<string> {
  let layer = ['a', 'b', '', '$s', 'c'];
  for (let depth = 1; depth <= 5; depth++) {
    yield* layer.filter(isValidTopicName);
    layer = layer.flatMap((head) => ['a', 'b', '', '$s', 'c'].map((tail) => `${head}/${tail}`));
    if (depth > 3) layer = layer.filter((_, index) => index % 5 === depth % 5);
  }
}
const TOPICS = [...allTopics()];

t.test('the intersection of two filters matches what both match, and nothing else', async () => {
  fc.assert(
    fc.property(filter, filter, (a, b) => {
      const both = intersect(a, b);
      assert.equal(intersect(b, a), both, 'in either order');
      if (both !== undefined) assert.ok(isValidTopicFilter(both));
      for (const name of TOPICS) {
        const expected = topicMatchesFilter(name, a) && topicMatchesFilter(name, b);
        const found = both !== undefined && topicMatchesFilter(name, both);
        assert.equal(found, expected, `${a} and ${b} give ${both} for ${name}`);
      }
    }),
    { numRuns: 400 },
  );
});

const plainOf = (held: string): string => held.replace(/^\$share\/g\//, '');
const heldFilter = fc
  .tuple(filter, fc.boolean())
  .map(([plain, shared]) => (shared ? `$share/g/${plain}` : plain));
const step = fc.record({
  filter: heldFilter,
  qos,
  remove: fc.boolean(),
  pick: fc.nat(),
  flush: fc.boolean(),
});

t.test('what is announced is what the clients hold, narrowed by what may come in', async () => {
  const imports = fc.oneof(fc.constant(['#']), fc.array(filter, { maxLength: 3 }));
  fc.assert(
    fc.property(imports, fc.array(step, { maxLength: 20 }), (importFilters, steps) => {
      const interest = new LocalInterest({ life: 1, importFilters, exportFilters: ['#'] });
      const held = run(interest, steps);
      interest.flush();
      for (const name of TOPICS) {
        const allowed = importFilters.some((imported) => topicMatchesFilter(name, imported));
        const wanted = held.filter(
          (one) => !plainOf(one.filter).startsWith('$') && topicMatchesFilter(name, plainOf(one.filter)),
        );
        const expected =
          allowed && !name.startsWith('$') ? Math.max(-1, ...wanted.map((one) => one.qos)) : -1;
        const found = [...interest.told].filter(([announced]) => topicMatchesFilter(name, announced));
        assert.equal(Math.max(-1, ...found.map(([, is]) => is)), expected, name);
      }
      for (const one of held) assert.ok(interest.versionOf(one.filter) <= interest.version);
    }),
    { numRuns: 150 },
  );
});

interface Step {
  filter: string;
  qos: QoS;
  remove: boolean;
  pick: number;
  flush: boolean;
}

function run(interest: LocalInterest, steps: readonly Step[]): { filter: string; qos: QoS }[] {
  const held: { filter: string; qos: QoS }[] = [];
  for (const { filter: added, qos: as, remove, pick, flush } of steps) {
    const [victim] = remove ? held.splice(pick % Math.max(1, held.length), 1) : [];
    if (victim !== undefined) interest.remove(victim.filter, victim.qos);
    else {
      interest.add(added, as);
      held.push({ filter: added, qos: as });
    }
    if (flush) interest.flush();
  }
  return held;
}

t.test('all gateways that want a topic are found, once, with the highest QoS', async () => {
  const wish = fc.record({ peer: fc.nat(4), filter, qos, remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 30 }), fc.array(topic, { maxLength: 6 }), (wishes, topics) => {
      const stale: string[] = [];
      const remote = new RemoteInterest((changed) => stale.push(changed));
      const naive = new Map<string, { peer: number; filter: string; qos: QoS }>();
      for (const { peer, filter: wanted, qos: as, remove } of wishes) {
        const key = `${peer} ${wanted}`;
        const before = naive.get(key)?.qos;
        stale.length = 0;
        if (remove) {
          remote.remove(peerOf(peer), wanted);
          naive.delete(key);
        } else {
          remote.set(peerOf(peer), wanted, as);
          naive.set(key, { peer, filter: wanted, qos: as });
        }
        assert.deepEqual(stale, before === (remove ? undefined : as) ? [] : [wanted]);
      }
      assert.equal(remote.filterCount, naive.size);
      for (const name of topics) {
        const found = new Map<GatewayId, number>();
        remote.match(name, (peer, as) => {
          assert.ok(!found.has(peer), 'once');
          found.set(peer, as);
        });
        for (let peer = 0; peer < 5; peer++) {
          const wanted = [...naive.values()].filter(
            (one) => one.peer === peer && topicMatchesFilter(name, one.filter),
          );
          const expected = Math.max(-1, ...wanted.map((one) => one.qos));
          assert.equal(found.get(peerOf(peer)) ?? -1, expected);
          assert.equal(remote.matcherOf(peerOf(peer))(name), expected);
        }
      }
    }),
  );
});

/** A link that keeps order, takes some frames at a time, and breaks. */
class LossyPair {
  toPeer: Uint8Array[] = [];
  toUs: Uint8Array[] = [];
  readonly remote = new RemoteInterest();
  readonly peer = peerOf(1);
  readonly sender: InterestSender;
  readonly receiver: InterestReceiver;
  acknowledged = -1;
  readonly versions: number[] = [];

  constructor(readonly interest: LocalInterest) {
    this.sender = new InterestSender(interest, {
      send: (frame) => this.toPeer.push(frame) % 3 !== 0,
      covered: () => 7,
      acknowledged: (version) => {
        this.acknowledged = version;
      },
      refused: () => assert.fail('nothing is too much'),
    });
    this.receiver = new InterestReceiver(this.peer, this.remote, {
      head: () => 11,
      send: (frame) => this.toUs.push(frame),
      refused: () => undefined,
      applied: ({ version, since, head }) => {
        assert.equal(since, 7);
        assert.equal(head, 11);
        this.versions.push(version);
      },
    });
  }

  /** One frame in each direction, as far as there is one. */
  move(): boolean {
    const there = this.toPeer.shift();
    if (there !== undefined) {
      const frame = decodeInterest(there);
      assert.ok(frame.kind === 'update');
      this.receiver.updated(frame);
    }
    if (this.toPeer.length === 0) this.sender.drained();
    const back = this.toUs.shift();
    if (back !== undefined) {
      const frame = decodeInterest(back);
      assert.ok(frame.kind === 'answer');
      this.sender.answered(frame);
    }
    return there !== undefined || back !== undefined;
  }

  relink(knows: boolean): void {
    this.toPeer = [];
    this.toUs = [];
    this.sender.stop();
    this.receiver.unlinked();
    // At times the hello is of before the last update.
    this.sender.start(knows ? this.receiver.image : undefined);
  }
}

t.test('over links that break the peer comes to have what is announced', async () => {
  const event = fc.record({ steps: fc.array(step, { maxLength: 6 }), moves: fc.nat(4), relink: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 25 }), (events) => {
      const interest = new LocalInterest({ life: 5, importFilters: ['#'], exportFilters: ['#'] });
      for (let n = 0; n < 40; n++) interest.add(`base/${n}`, 1);
      interest.flush();
      const pair = new LossyPair(interest);
      pair.relink(true);
      let version = 0;
      for (const { steps, moves, relink } of events) {
        run(interest, steps);
        if (interest.flush()) pair.sender.changed();
        for (let n = 0; n < moves; n++) pair.move();
        if (relink <= 1) pair.relink(relink === 0);
        assert.ok(interest.version >= version);
        version = interest.version;
      }
      while (pair.move() || pair.toPeer.length > 0);
      assert.equal(pair.acknowledged, interest.version);
      assert.deepEqual(pair.receiver.image, { life: 5, version: interest.version });
      const known = pair.remote
        .filtersOf(pair.peer)
        .map((is) => [is, pair.remote.qosOf(pair.peer, is)] as const);
      assert.deepEqual(new Map(known), new Map(interest.told));
    }),
  );
});

t.test('an update comes out as it went in, in however many frames', async () => {
  const change = fc.tuple(
    filter.filter((is) => !is.startsWith('$')),
    fc.option(qos, { nil: undefined }),
  );
  fc.assert(
    fc.property(fc.array(change), fc.nat(), fc.nat(), (changes, base, more) => {
      const head = { life: 2 ** 47 + 3, base, version: base + more, since: 2 ** 40 };
      const frames = [...encodeUpdate(head, changes)].map((bytes) => decodeInterest(bytes));
      assert.deepEqual(
        frames.flatMap((frame) => (frame.kind === 'update' ? frame.filters : [])),
        changes,
      );
    }),
  );
});

t.test('noise and cut frames are malformed or harmless', async () => {
  const whole =
    [...encodeUpdate({ life: 1, base: 3, version: 4, since: 5 }, [['a/b', 1]])][0] ?? new Uint8Array();
  const cut = fc.nat(whole.length - 1).map((length) => whole.slice(0, length));
  const bent = fc.tuple(fc.nat(whole.length - 1), fc.nat(255)).map(([at, byte]) => {
    const copy = whole.slice();
    copy[at] = byte;
    return copy;
  });
  const noise = fc.uint8Array({ maxLength: 60 });
  const kinds = fc
    .tuple(fc.integer({ min: 1, max: 3 }), noise)
    .map(([kind, rest]) => Uint8Array.of(kind, ...rest));
  fc.assert(
    fc.property(fc.array(fc.oneof(cut, bent, noise, kinds), { maxLength: 5 }), (frames) => {
      const remote = new RemoteInterest();
      const sender = new InterestSender(
        new LocalInterest({ life: 1, importFilters: [], exportFilters: [] }),
        {
          send: () => true,
          covered: () => 0,
          acknowledged: () => undefined,
          refused: () => undefined,
        },
      );
      sender.start(undefined);
      const receiver = new InterestReceiver(peerOf(1), remote, {
        head: () => 0,
        send: () => undefined,
        refused: () => undefined,
        applied: () => undefined,
      });
      for (const bytes of frames) {
        try {
          const frame = decodeInterest(bytes);
          if (frame.kind === 'update') receiver.updated(frame);
          else sender.answered(frame);
        } catch (error) {
          if (!(error instanceof MalformedFrame)) throw error;
        }
      }
    }),
    { numRuns: 2000 },
  );
});
