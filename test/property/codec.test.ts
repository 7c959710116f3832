import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  decodePacket,
  decodeUtf8,
  encodedLength,
  encodePacket,
  isValidTopicFilter,
  isValidTopicName,
  isValidUtf8String,
  PacketType,
  ProtocolError,
  readVariableByteInteger,
  topicMatchesFilter,
  writeVariableByteInteger,
  type Direction,
  type Packet,
  type ProtocolVersion,
} from '../../lib/protocol/index.js';
import { packet, text, topicName } from '../support/packet-arbitraries.js';
import { frame } from '../support/protocol-bytes.js';

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];
const DIRECTIONS: readonly Direction[] = ['toServer', 'toClient'];

const ways = VERSIONS.flatMap((version) => DIRECTIONS.map((direction) => ({ version, direction })));

/** Packet types that this version has in this direction: 9 or more, so that an arbitrary cannot silently lack one. */
function typesOf(version: ProtocolVersion, direction: Direction): string[] {
  const toServer = ['connect', 'subscribe', 'unsubscribe', 'pingreq', 'disconnect'];
  const toClient = ['connack', 'suback', 'unsuback', 'pingresp', ...(version === 5 ? ['disconnect'] : [])];
  const oneWay = direction === 'toServer' ? toServer : toClient;
  const auth = version === 5 ? ['auth'] : [];
  const both = ['publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'];
  return Object.keys(PacketType).filter((type) => [...oneWay, ...auth, ...both].includes(type));
}

for (const { version, direction } of ways) {
  t.test(`what MQTT ${version} encodes ${direction}, it decodes to the same packet`, async (t) => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(packet(version, direction), (original) => {
        seen.add(original.type);
        const wire = encodePacket(original, version);
        assert.deepStrictEqual(decodePacket(wire, version, direction), original);
      }),
      { numRuns: 600 },
    );
    t.same([...seen].sort(), typesOf(version, direction).sort(), 'every packet type was drawn');
  });

  t.test(`a cut packet of MQTT ${version} ${direction} is refused or a legal shorter one`, async () => {
    fc.assert(
      fc.property(packet(version, direction), (original) => {
        const wire = encodePacket(original, version);
        const body = wire.subarray(1 + encodedLength(readVariableByteInteger(wire, 1, wire.length)));
        for (let length = 0; length < body.length; length++) {
          const shorter = decodeOrRefuse(frame(wire[0] ?? 0, body.subarray(0, length)), version, direction);
          if (shorter !== undefined) assertLegalShortening(original, shorter);
        }
      }),
      { numRuns: 150 },
    );
  });

  t.test(
    `a broken packet of MQTT ${version} ${direction} is refused, or means something that can be sent`,
    async () => {
      fc.assert(
        fc.property(
          packet(version, direction),
          fc.array(mutation, { minLength: 1, maxLength: 4 }),
          (original, edits) => {
            const broken = edits.reduce(mutate, encodePacket(original, version));
            const decoded = decodeOrRefuse(broken, version, direction);
            if (decoded === undefined) return;
            const encodedAs = decoded.type === 'connect' ? decoded.version : version;
            const again = encodePacket(decoded, encodedAs);
            assert.deepStrictEqual(decodePacket(again, version, direction), decoded);
          },
        ),
        { numRuns: 1500 },
      );
    },
  );

  t.test(`arbitrary bytes to MQTT ${version} ${direction} raise nothing but ProtocolError`, async () => {
    const body = fc.uint8Array({ maxLength: 60 });
    fc.assert(
      fc.property(body, (wire) => void decodeOrRefuse(wire, version, direction)),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), body, (firstByte, rest) => {
        decodeOrRefuse(frame(firstByte, rest), version, direction);
      }),
      { numRuns: 1500 },
    );
  });
}

/** Undefined where it is refused as it should be; any error other than ProtocolError fails the property. */
function decodeOrRefuse(
  wire: Uint8Array,
  version: ProtocolVersion,
  direction: Direction,
): Packet | undefined {
  try {
    return decodePacket(wire, version, direction);
  } catch (error) {
    assert(error instanceof ProtocolError, error instanceof Error ? error : String(error));
    assert(error.reasonCode >= 0x81);
    return undefined;
  }
}

interface Mutation {
  kind: 'set' | 'insert' | 'remove' | 'cut' | 'flip';
  at: number;
  byte: number;
  fixLength: boolean;
}
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('set', 'insert', 'remove', 'cut', 'flip'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  byte: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 2, 3, 0x23, 0x2b, 0x80, 0xff)),
  fixLength: fc.integer({ min: 0, max: 9 }).map((drawn) => drawn > 0),
});

/** One edit behind the first byte, or of it; mostly with a Remaining Length that is right again. */
function mutate(wire: Buffer, { kind, at, byte, fixLength }: Mutation): Buffer {
  const length = readVariableByteInteger(wire, 1, wire.length);
  const start = length < 0 ? 1 : 1 + encodedLength(length);
  const first = wire[0] ?? 0;
  if (kind === 'flip') return Buffer.concat([Buffer.of(first ^ (1 << (byte & 7))), wire.subarray(1)]);
  const body = wire.subarray(start);
  const index = Math.floor(at * body.length);
  const head = body.subarray(0, index);
  const edited = {
    set: [head, Buffer.of(byte), body.subarray(index + 1)],
    insert: [head, Buffer.of(byte), body.subarray(index)],
    remove: [head, body.subarray(index + 1)],
    cut: [head],
  }[kind];
  return fixLength ? frame(first, ...edited) : Buffer.concat([wire.subarray(0, start), ...edited]);
}

/** `shorter` is what is left where lists, payloads, reason codes and properties may end early. */
function assertLegalShortening(original: Packet, shorter: Packet): void {
  switch (original.type) {
    case 'publish': {
      assert(shorter.type === 'publish');
      assert.deepStrictEqual(shorter, {
        ...original,
        payload: Buffer.from(original.payload.subarray(0, shorter.payload.length)),
      });
      return;
    }
    case 'subscribe':
      assert(shorter.type === 'subscribe');
      assert.deepStrictEqual(shorter, {
        ...original,
        subscriptions: original.subscriptions.slice(0, shorter.subscriptions.length),
      });
      return;
    case 'unsubscribe':
      assert(shorter.type === 'unsubscribe');
      assert.deepStrictEqual(shorter, {
        ...original,
        filters: original.filters.slice(0, shorter.filters.length),
      });
      return;
    case 'suback':
    case 'unsuback':
      assert(shorter.type === original.type);
      assert.deepStrictEqual(shorter, {
        ...original,
        reasonCodes: original.reasonCodes.slice(0, shorter.reasonCodes.length),
      });
      return;
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
    case 'disconnect':
      assert(shorter.type === original.type);
      assert([0, original.reasonCode].includes(shorter.reasonCode));
      assert.deepStrictEqual(shorter, { ...original, reasonCode: shorter.reasonCode, properties: {} });
      return;
    case 'auth':
      assert.deepStrictEqual(shorter, { type: 'auth', reasonCode: 0, properties: {} });
      return;
    case 'connect': {
      assert(
        shorter.type === 'connect' && original.version === 3,
        'only MQTT 3.1 lets credentials be missing',
      );
      const { username, password, ...rest } = original;
      const kept = shorter.username === undefined ? rest : { ...rest, username };
      assert(password !== undefined || username !== undefined);
      assert.deepStrictEqual(shorter, kept);
      return;
    }
    case 'connack':
    case 'pingreq':
    case 'pingresp':
      assert.fail(`${original.type} has no shorter form`);
  }
}

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function reference(bytes: Uint8Array): string | undefined {
  try {
    const decoded = strictDecoder.decode(bytes);
    return decoded.includes('\0') ? undefined : decoded;
  } catch {
    return undefined;
  }
}

t.test(
  'isValidUtf8String and decodeUtf8 agree with TextDecoder, less U+0000 [MQTT-1.5.4-1, MQTT-1.5.4-2]',
  async (t) => {
    const edge = fc.constantFrom(
      0x00,
      0x7f,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc0,
      0xc2,
      0xe0,
      0xed,
      0xef,
      0xf0,
      0xf4,
      0xf5,
    );
    const fragment = fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.array(edge, { maxLength: 4 }).map((bytes) => Uint8Array.from(bytes)),
      text.map((value) => new TextEncoder().encode(value)),
    );
    const counts = { valid: 0, invalid: 0 };
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 4 }), (fragments) => {
        const bytes = Buffer.concat(fragments);
        const expected = reference(bytes);
        counts[expected === undefined ? 'invalid' : 'valid']++;
        assert.equal(isValidUtf8String(bytes, 0, bytes.length), expected !== undefined);
        if (expected !== undefined) assert.equal(decodeUtf8(bytes, 0, bytes.length), expected);
      }),
      { numRuns: 8000 },
    );
    t.ok(counts.valid > 500 && counts.invalid > 500, `both kinds were drawn: ${JSON.stringify(counts)}`);
  },
);

t.test('every sequence of up to three edge bytes is judged as TextDecoder judges it', async () => {
  const edges = [
    0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee,
    0xef,
  ];
  for (const first of [...edges, 0xf0, 0xf1, 0xf4, 0xf5, 0xff]) {
    for (const second of edges) {
      for (const third of edges) {
        for (const bytes of [
          [first],
          [first, second],
          [first, second, third],
          [first, second, third, 0x80],
        ]) {
          const buffer = Buffer.from(bytes);
          assert.equal(
            isValidUtf8String(buffer, 0, buffer.length),
            reference(buffer) !== undefined,
            buffer.toString('hex'),
          );
        }
      }
    }
  }
});

t.test('a variable byte integer is read back, and whatever is read is minimal [MQTT-1.5.5-1]', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 268_435_455 }), (value) => {
      const bytes = Buffer.alloc(4);
      const end = writeVariableByteInteger(bytes, 0, value);
      assert.equal(end, encodedLength(value));
      assert.equal(readVariableByteInteger(bytes, 0, end), value);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), (bytes) => {
      const value = readVariableByteInteger(bytes, 0, bytes.length);
      if (value < 0) return;
      const again = Buffer.alloc(encodedLength(value));
      writeVariableByteInteger(again, 0, value);
      assert.deepStrictEqual(Buffer.from(bytes.subarray(0, again.length)), again);
    }),
  );
});

t.test(
  'a topic matches itself and every filter made from it by + and #, but not through $ [MQTT-4.7.2-1]',
  async () => {
    const wild = fc.array(fc.boolean(), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(
        topicName,
        wild,
        fc.option(fc.nat({ max: 4 }), { nil: undefined }),
        (topic, plus, hashAt) => {
          assert(isValidTopicName(topic) && isValidTopicFilter(topic));
          assert(topicMatchesFilter(topic, topic));
          const levels = topic.split('/').map((level, index) => (plus[index] === true ? '+' : level));
          const cut = hashAt === undefined ? levels : [...levels.slice(0, hashAt), '#'];
          const filter = cut.join('/');
          assert(isValidTopicFilter(filter));
          const hidden = topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'));
          assert.equal(topicMatchesFilter(topic, filter), !hidden);
          assert(!topicMatchesFilter(topic, `${topic}/x`));
        },
      ),
    );
  },
);
