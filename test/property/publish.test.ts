/**
 * The hot path of PUBLISH against the packet codec, which is written to be read. Over 400 lines: generators, model and checks
 * serve all its properties.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import {
  decodePacket,
  encodePacket,
  isValidUtf8String,
  ProtocolError,
  topicMatchesFilter,
  type Packet,
  type Properties,
  type ProtocolVersion,
  type PublishPacket,
  type QoS,
} from '../../lib/protocol/index.js';
import type { Session } from '../../lib/session/session.js';
import { properties, topicName } from '../support/packet-arbitraries.js';
import { bytes, frame, refusalOf, str, u16, type Part } from '../support/protocol-bytes.js';
import { type FakeLink, LaneWorld, type LinkOptions, splitFrames } from '../unit/delivery/lane-world.js';

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];
const ALIAS_MAXIMUM = 4;

/** From 0 to 1, evenly: `fc.double` draws mostly numbers next to 0. */
const fraction = fc.integer({ min: 0, max: 1_000_000 }).map((drawn) => drawn / 1_000_000);

/** Few topics, so that runs and aliases happen, and any topic. */
const someTopic = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'a/b', 'é', '$x/y') },
  { weight: 1, arbitrary: topicName },
);
const somePayload = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(Buffer.alloc(125, 1), Buffer.from('text \0 text'), Buffer.from('€')),
  },
  { weight: 1, arbitrary: fc.integer({ min: 100, max: 20_000 }).map((size) => Buffer.alloc(size, 7)) },
);

function publishPacket(version: ProtocolVersion): fc.Arbitrary<PublishPacket> {
  const none: fc.Arbitrary<Properties> = fc.constant({});
  return fc
    .record({
      topic: someTopic,
      nameless: fc.boolean(),
      payload: somePayload,
      // Mostly what runs are made of.
      qos: fc.constantFrom<QoS>(0, 0, 0, 0, 1, 2),
      retain: fc.integer({ max: 9, min: 0 }).map((drawn) => drawn === 0),
      dup: fc.boolean(),
      properties: fc.oneof(
        { weight: 2, arbitrary: none },
        { weight: 1, arbitrary: properties(version, 'publish', 'toServer') },
      ),
    })
    .map(({ nameless, properties: drawn, dup, ...packet }) => {
      const alias =
        drawn.topicAlias === undefined ? {} : { topicAlias: 1 + (drawn.topicAlias % ALIAS_MAXIMUM) };
      return {
        type: 'publish',
        ...packet,
        topic: nameless && drawn.topicAlias !== undefined ? '' : packet.topic,
        dup: dup && packet.qos > 0,
        properties: { ...drawn, ...alias },
      };
    });
}

/** Frames of a publisher, with packet ids of their own; DUP says nothing about what is new to the server. */
function stream(version: ProtocolVersion): fc.Arbitrary<Buffer[]> {
  const drawn = fc.tuple(publishPacket(version), fc.integer({ min: 0, max: 19 }));
  return fc.array(drawn, { minLength: 1, maxLength: 12 }).map((drawns) => {
    const set = new Set<number>();
    return drawns.map(([packet, dice], index) => {
      const own = dice === 0 ? packet : legal(packet, set);
      const { topicAlias } = own.properties;
      if (topicAlias !== undefined) set.add(topicAlias);
      return encodePacket(own.qos === 0 ? own : { ...own, packetId: index + 1 }, version);
    });
  });
}

/** Without what only a connection can know to be wrong: an alias that was not set, a payload that is no text. */
function legal(packet: PublishPacket, aliases: ReadonlySet<number>): PublishPacket {
  const { topicAlias, payloadFormatIndicator } = packet.properties;
  const topic = packet.topic === '' && !aliases.has(topicAlias ?? 0) ? 'a/b' : packet.topic;
  const payload = payloadFormatIndicator === 1 ? Buffer.from('tëxt') : packet.payload;
  return { ...packet, topic, payload };
}

interface Receiver {
  readonly options: LinkOptions;
  readonly identifier: number;
  readonly session: Session;
  readonly link: FakeLink;
}

/** What receivers differ in: version, Subscription Identifier, aliases, Maximum Packet Size. */
const RECEIVERS: readonly { options: LinkOptions; identifier: number }[] = [
  { options: { version: 3 }, identifier: 0 },
  { options: { version: 4 }, identifier: 0 },
  { options: { version: 5 }, identifier: 0 },
  { options: { version: 5 }, identifier: 300 },
  { options: { version: 5, topicAliasMaximum: 2 }, identifier: 0 },
  { options: { version: 5, topicAliasMaximum: 2 }, identifier: 1 },
  { options: { version: 5, maximumPacketSize: 30 }, identifier: 0 },
  { options: { version: 5, maximumPacketSize: 40 }, identifier: 5 },
  { options: { version: 5, maximumPacketSize: 30, topicAliasMaximum: 2 }, identifier: 0 },
];

/** A publisher and receivers of everything outside `$`. */
class Exchange {
  readonly world = new LaneWorld({
    topicAliasMaximum: ALIAS_MAXIMUM,
    topicMaxBytes: 65_535,
    topicMaxLevels: 65_535,
  });
  readonly receivers: Receiver[];
  readonly publisher: { session: Session; link: FakeLink };

  constructor(
    readonly version: ProtocolVersion,
    kinds: readonly { options: LinkOptions; identifier: number }[] = RECEIVERS,
  ) {
    this.publisher = this.world.connected({ version });
    this.receivers = kinds.map(({ options, identifier }) => {
      const made = this.world.connected(options);
      this.world.subscribe(made.session, '#', { qos: 2, identifier });
      return { options, identifier, ...made };
    });
  }

  /** One read. @returns the reason code of a refusal. */
  feed(read: Uint8Array): number | undefined {
    const { session, link } = this.publisher;
    try {
      link.feed(session, read);
    } catch (error) {
      assert(error instanceof ProtocolError, error instanceof Error ? error : String(error));
      return error.reasonCode;
    }
    return link.reasons[0]?.code;
  }

  taken(): Buffer[] {
    return this.receivers.map(({ link }) => link.takeBytes());
  }
}

/** What the specification makes of a stream, by the packet codec. */
class Model {
  readonly accepted: PublishPacket[] = [];
  refusal: number | undefined;
  readonly #aliases = new Map<number, string>();

  constructor(frames: readonly Uint8Array[], version: ProtocolVersion) {
    for (const one of frames) {
      this.#take(one, version);
      if (this.refusal !== undefined) return;
    }
  }

  #take(one: Uint8Array, version: ProtocolVersion): void {
    let packet: Packet | undefined;
    this.refusal = refusalOf(() => {
      packet = decodePacket(one, version, 'toServer');
    });
    if (packet?.type !== 'publish') return;
    const { topicAlias, payloadFormatIndicator } = packet.properties;
    if (topicAlias !== undefined && topicAlias > ALIAS_MAXIMUM) {
      this.refusal = 0x94;
      return;
    }
    const topic = packet.topic === '' ? this.#aliases.get(topicAlias ?? 0) : packet.topic;
    if (topic === undefined) {
      this.refusal = 0x82;
      return;
    }
    if (topicAlias !== undefined) this.#aliases.set(topicAlias, topic);
    const { payload } = packet;
    // U+0000 is legal in a payload.
    const text = Buffer.from(payload.map((byte) => (byte === 0 ? 1 : byte)));
    if (payloadFormatIndicator === 1 && !isValidUtf8String(text, 0, text.length)) {
      if (packet.qos === 0) this.refusal = 0x99;
      return;
    }
    this.accepted.push({ ...packet, topic });
  }
}

/** The packet as a receiver gets it, its aliases resolved. */
function expectedAt({ options, identifier }: Receiver, packet: PublishPacket): PublishPacket {
  const { topicAlias: _alias, ...forwarded } = packet.properties;
  const own: Properties = options.version === 5 ? forwarded : {};
  if (options.version === 5 && identifier !== 0) own.subscriptionIdentifiers = [identifier];
  const { packetId: _id, ...rest } = packet;
  return { ...rest, payload: Buffer.from(packet.payload), retain: false, dup: false, properties: own };
}

function sizeOf(packet: PublishPacket, version: ProtocolVersion): number {
  return encodePacket(packet.qos === 0 ? packet : { ...packet, packetId: 1 }, version).length;
}

/** What the receiver's client makes of the bytes. */
function receivedBy(receiver: Receiver, taken: Uint8Array): PublishPacket[] {
  const aliases = new Map<number, string>();
  return receiver.link.decode(taken).map((packet) => {
    assert(packet.type === 'publish');
    const { packetId, ...rest } = packet;
    assert.equal(packetId !== undefined, packet.qos > 0);
    const { topicAlias, ...own } = packet.properties;
    if (topicAlias !== undefined) {
      assert(topicAlias <= (receiver.options.topicAliasMaximum ?? 0));
      if (packet.topic !== '') aliases.set(topicAlias, packet.topic);
    }
    const topic = packet.topic === '' ? aliases.get(topicAlias ?? 0) : packet.topic;
    assert(topic !== undefined, 'the alias was set');
    return { ...rest, payload: Buffer.from(packet.payload), topic, properties: own };
  });
}

function checkReceiver(receiver: Receiver, taken: Uint8Array, accepted: readonly PublishPacket[]): void {
  const { version = 4, maximumPacketSize = Infinity, topicAliasMaximum = 0 } = receiver.options;
  const wanted = accepted
    .filter(({ topic, properties: own }) => topicMatchesFilter(topic, '#') && own.messageExpiryInterval !== 0)
    .map((packet) => expectedAt(receiver, packet));
  const got = receivedBy(receiver, taken);
  for (const one of splitFrames(taken)) assert(one.length <= maximumPacketSize, 'Maximum Packet Size');
  const fits = wanted.filter((packet) => sizeOf(packet, version) <= maximumPacketSize);
  if (topicAliasMaximum === 0 || maximumPacketSize === Infinity) {
    assert.deepStrictEqual(got, fits);
    return;
  }
  // An alias may make a packet fit, and may never keep one away.
  let next = 0;
  for (const packet of wanted) {
    const arrived = isDeepStrictEqual(got[next], packet);
    if (arrived) next++;
    else assert(sizeOf(packet, version) > maximumPacketSize, 'one that fits is missing');
  }
  assert.equal(next, got.length, 'nothing else arrived');
}

/** A stream cut into reads at random. */
function reads(frames: readonly Uint8Array[], cuts: readonly number[]): Buffer[] {
  const all = Buffer.concat(frames);
  const at = [...new Set([0, ...cuts.map((cut) => Math.floor(cut * all.length)), all.length])].sort(
    (a, b) => a - b,
  );
  // Each a buffer of its own, as a socket hands them over.
  return at.slice(1).map((end, index) => Buffer.from(all.subarray(at[index], end)));
}
const cuts = fc.array(fraction, { maxLength: 6 });

for (const version of VERSIONS) {
  t.test(`what an MQTT ${version} publisher sends, each receiver gets in its own form`, async () => {
    let delivered = 0;
    fc.assert(
      fc.property(stream(version), cuts, (frames, at) => {
        const exchange = new Exchange(version);
        const model = new Model(frames, version);
        let refusal: number | undefined;
        for (const read of reads(frames, at))
          refusal ??= refusal === undefined ? exchange.feed(read) : undefined;
        assert.equal(refusal, model.refusal);
        for (const [index, taken] of exchange.taken().entries()) {
          const receiver = exchange.receivers[index];
          assert(receiver !== undefined);
          checkReceiver(receiver, taken, model.accepted);
        }
        delivered += model.accepted.length;
      }),
      { numRuns: 300 },
    );
    assert(delivered > 1000, 'enough was delivered for this to say something');
  });

  t.test(`a broken PUBLISH of MQTT ${version} is taken exactly where the codec takes it`, async () => {
    const edit = fc.record({
      at: fraction,
      byte: fc.oneof(
        fc.integer({ min: 0, max: 255 }),
        fc.constantFrom(0, 1, 2, 3, 8, 0x0b, 0x23, 0x26, 0x80),
      ),
      kind: fc.constantFrom('set', 'insert', 'remove', 'cut'),
    });
    let refused = 0;
    let taken = 0;
    fc.assert(
      fc.property(
        publishPacket(version),
        fc.array(publishPacket(version), { maxLength: 3 }),
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        (drawn, drawnBefore, edits) => {
          const packet = legal(drawn, new Set());
          const before = drawnBefore.map((one, index) => {
            const plain: PublishPacket = { ...legal(one, new Set()), properties: {} };
            return encodePacket(plain.qos === 0 ? plain : { ...plain, packetId: index + 1 }, version);
          });
          const whole = encodePacket(packet.qos === 0 ? packet : { ...packet, packetId: 99 }, version);
          const broken = edits.reduce(edited, whole);
          const frames = [...before, broken];
          const model = new Model(frames, version);
          const exchange = new Exchange(version, [{ options: { version: 5 }, identifier: 0 }]);
          const refusal = exchange.feed(Buffer.concat(frames));
          // Where several things are wrong with it, which is named first is not the specification's business.
          assert.equal(refusal === undefined, model.refusal === undefined);
          if (refusal === undefined) taken++;
          else refused++;
          const [receiver] = exchange.receivers;
          const [got] = exchange.taken();
          assert(receiver !== undefined && got !== undefined);
          // An edited packet id may be that of a QoS 2 message before it, which makes it a repetition.
          const ids = new Set<number>();
          const fresh = model.accepted.filter(({ qos, packetId = 0 }) => {
            if (qos !== 2) return true;
            return !ids.has(packetId) && ids.add(packetId);
          });
          checkReceiver(receiver, got, fresh);
        },
      ),
      { numRuns: 1000 },
    );
    assert(refused > 100 && taken > 100, `${refused} refused, ${taken} taken`);
  });

  t.test(`a run of MQTT ${version} frames leaves the bytes that its frames one by one leave`, async () => {
    fc.assert(
      fc.property(stream(version), cuts, (frames, at) => {
        const all = Buffer.concat(frames);
        const gathered = new Exchange(version);
        const refusal = gathered.feed(all);
        const expected = gathered.taken();

        const fragments = new Exchange(version);
        for (const read of reads(frames, at)) if (fragments.feed(read) !== undefined) break;
        assert.deepStrictEqual(fragments.taken(), expected, 'in fragments');

        const single = new Exchange(version);
        let other: number | undefined;
        for (const one of frames) other ??= single.feed(one);
        assert.equal(other, refusal);
        assert.deepStrictEqual(single.taken(), expected, 'frame by frame');

        // A hook on publishing makes each frame a message of its own.
        const hooked = new Exchange(version);
        hooked.world.lanes.hooks.authorizePublish = (_session, one, done) => done(undefined, one);
        assert.equal(hooked.feed(all), refusal);
        assert.deepStrictEqual(hooked.taken(), expected, 'message by message');
        for (const name of [
          'messagesReceivedQoS0',
          'messagesSentQoS0',
          'messageBytesSent',
          'droppedTooLarge',
        ] as const) {
          assert.equal(hooked.world.counter(name), gathered.world.counter(name), name);
        }
      }),
      { numRuns: 200 },
    );
  });
}

type Edit = { at: number; byte: number; kind: string };

/** One edit behind the fixed header or of the flags, with a Remaining Length that is right again. */
function edited(whole: Buffer, { at, byte, kind }: Edit): Buffer {
  const header = whole.length < 130 ? 2 : whole.length < 16_387 ? 3 : 4;
  const flags = whole[0] ?? 0;
  const body = whole.subarray(header);
  const index = Math.floor(at * (body.length + 1));
  switch (kind) {
    case 'insert':
      return frame(flags, body.subarray(0, index), byte, body.subarray(index));
    case 'remove':
      return frame(flags, body.subarray(0, index), body.subarray(index + 1));
    case 'cut':
      return frame(flags, body.subarray(0, index));
    default:
      if (index === body.length) return frame(0x30 | (byte & 0x0f), body);
      return frame(flags, body.subarray(0, index), byte, body.subarray(index + 1));
  }
}

/** PUBLISH packets with one thing wrong, and the code of the specification. */
function faults(version: ProtocolVersion): readonly (readonly [string, number, Buffer])[] {
  const none: readonly Part[] = version === 5 ? [0] : [];
  const common = [
    ['QoS 3', 0x81, frame(0x36, str('a'), u16(1), ...none)],
    ['DUP with QoS 0', 0x81, frame(0x38, str('a'), ...none)],
    ['nothing', 0x81, frame(0x30)],
    ['half a topic length', 0x81, frame(0x30, 0)],
    ['a topic longer than the packet', 0x81, frame(0x30, u16(9), str('a'))],
    ['a topic with U+0000', 0x81, frame(0x30, str('a\0'), ...none)],
    ['a topic that is not UTF-8', 0x81, frame(0x30, str(Buffer.of(0x61, 0xff)), ...none)],
    ['a topic with +', 0x90, frame(0x30, str('a/+'), ...none)],
    ['a topic with #', 0x90, frame(0x32, str('#'), u16(1), ...none)],
    ['no topic', 0x82, frame(0x30, str(''), ...none)],
    ['no topic and a packet id', 0x82, frame(0x34, str(''), u16(1), ...none)],
    ['no packet id', 0x81, frame(0x32, str('a'))],
    ['half a packet id', 0x81, frame(0x34, str('a'), 0)],
    ['packet id 0', 0x82, frame(0x32, str('a'), u16(0), ...none)],
  ] as const;
  if (version < 5) return common;
  const v5 = (...parts: Part[]): Buffer => frame(0x30, str('a'), ...parts);
  return [
    ...common,
    ['no properties', 0x81, v5()],
    ['no properties behind a packet id', 0x81, frame(0x32, str('a'), u16(1))],
    ['a property length that is cut', 0x81, v5(0x80)],
    ['a property length of more than four bytes', 0x81, v5([0x80, 0x80, 0x80, 0x80, 1])],
    ['a property length that is not minimal', 0x81, v5([0x80, 0])],
    ['properties longer than the packet', 0x81, v5(5, [1, 1])],
    ['an unknown property', 0x81, v5(2, [0x7f, 0])],
    ['a property of CONNECT', 0x81, v5(3, [0x21, 0, 1])],
    ['a Subscription Identifier', 0x82, v5(2, [0x0b, 1])],
    ['a property twice', 0x82, v5(4, [1, 0, 1, 0])],
    ['Topic Alias 0', 0x94, v5(3, [0x23, 0, 0])],
    ['an alias that was not set', 0x82, frame(0x30, str(''), 3, [0x23, 0, ALIAS_MAXIMUM])],
    ['an alias beyond the maximum', 0x94, v5(3, [0x23, 0, ALIAS_MAXIMUM + 1])],
    ['a payload that is not the UTF-8 that it is declared to be', 0x99, v5(2, [1, 1], [0xff])],
  ];
}

for (const version of VERSIONS) {
  t.test(
    `MQTT ${version}: one thing wrong with a PUBLISH gets its code, and what came before is delivered`,
    async (t) => {
      const good = encodePacket(
        {
          type: 'publish',
          topic: 'a',
          payload: Buffer.from('good'),
          qos: 0,
          retain: false,
          dup: false,
          properties: {},
        },
        version,
      );
      for (const [what, code, broken] of faults(version)) {
        for (const before of [[], [good, good]]) {
          const frames = [...before, broken];
          t.equal(new Model(frames, version).refusal, code, `${what}, by the codec`);
          const exchange = new Exchange(version, [{ options: { version: 4 }, identifier: 0 }]);
          t.equal(exchange.feed(Buffer.concat([...frames, good])), code, what);
          const got = exchange.receivers[0]?.link.decode(bytes(...exchange.taken())) ?? [];
          t.equal(got.length, before.length, `${what}: and nothing behind it`);
        }
      }
    },
  );
}
