import t from 'tap';
import {
  parsePublishProperties,
  type PublishProperties,
} from '../../../lib/connection/publish-properties.js';
import { decodeProperties, PROPERTIES, ReasonCode } from '../../../lib/protocol/index.js';
import { bytes, refusalOf, str, u16, u32, type Part } from '../../support/protocol-bytes.js';

/** The properties in the middle of other bytes, as they stand in a frame. */
function parse(...parts: Part[]): PublishProperties {
  const own = bytes(...parts);
  return parsePublishProperties(bytes([9, 9], own, [9, 9]), 2, 2 + own.length);
}

const pair = (name: string, value: string): Buffer => bytes(0x26, str(name), str(value));
const { malformedPacket, protocolError, topicAliasInvalid } = ReasonCode;

t.test('without alias and expiry everything is forwarded as it stands, without a copy', async (t) => {
  const own = bytes(
    pair('b', '2'),
    [0x03],
    str('text/plain'),
    pair('a', '1'),
    [0x08],
    str('r'),
    pair('b', '2'),
  );
  const found = parsePublishProperties(own, 0, own.length);
  t.same(Buffer.from(found.forward), own);
  t.equal(found.forward.buffer, own.buffer);
  t.match(found, { alias: 0, expiryS: -1, utf8: false });
});

t.test('nothing at all is nothing', async (t) => {
  t.match(parse(), { alias: 0, expiryS: -1, utf8: false });
  t.equal(parse().forward.length, 0);
});

t.test('alias and expiry are taken out wherever they stand; the order of the rest is kept', async (t) => {
  const alias = bytes(0x23, u16(0x0102));
  const expiry = bytes(0x02, u32(0xfffffffe));
  const rest = [pair('x', '1'), bytes(0x01, 1), pair('x', '2')] as const;
  for (const order of [
    [alias, expiry, ...rest],
    [...rest, alias, expiry],
    [rest[0], expiry, rest[1], alias, rest[2]],
    [alias, ...rest, expiry],
  ]) {
    const found = parse(...order);
    t.match(found, { alias: 0x0102, expiryS: 0xfffffffe, utf8: true });
    t.same(Buffer.from(found.forward), bytes(...rest));
  }
  t.same(Buffer.from(parse(alias, expiry).forward), Buffer.alloc(0));
});

t.test('the limits of each value are legal', async (t) => {
  t.equal(parse(0x02, u32(0)).expiryS, 0);
  t.equal(parse(0x02, u32(0xffffffff)).expiryS, 0xffffffff);
  t.equal(parse(0x23, u16(1)).alias, 1);
  t.equal(parse(0x23, u16(0xffff)).alias, 0xffff);
  t.equal(parse(0x01, 0).utf8, false);
  t.equal(parse(0x09, str('')).forward.length, 3, 'empty correlation data');
  t.equal(parse(0x09, str(Buffer.of(0, 0xff))).forward.length, 5, 'which is any bytes');
  t.equal(parse(0x03, str('')).forward.length, 3, 'an empty content type');
  t.equal(parse(pair('', '')).forward.length, 5);
});

/** Every way in which the properties of a PUBLISH from a client can be wrong [MQTT 5, section 3.3.2.3]. */
const FAULTS: readonly [string, number, ...Part[]][] = [
  ['Payload Format Indicator 2', protocolError, 0x01, 2],
  ['Payload Format Indicator 255', protocolError, 0x01, 255],
  ['Payload Format Indicator without value', malformedPacket, 0x01],
  ['Payload Format Indicator twice', protocolError, [0x01, 1, 0x01, 1]],
  ['Message Expiry Interval cut', malformedPacket, 0x02, [0, 0, 1]],
  ['Message Expiry Interval twice', protocolError, 0x02, u32(1), 0x02, u32(1)],
  ['Content Type with half a length', malformedPacket, 0x03, 0],
  ['Content Type cut', malformedPacket, 0x03, u16(3), [0x61, 0x61]],
  ['Content Type that is not UTF-8', malformedPacket, 0x03, str(Buffer.of(0xff))],
  ['Content Type with U+0000', malformedPacket, 0x03, str('a\0b')],
  ['Content Type with a surrogate', malformedPacket, 0x03, str(Buffer.of(0xed, 0xa0, 0x80))],
  ['Content Type twice', protocolError, 0x03, str('a'), 0x03, str('a')],
  ['Response Topic that is empty', protocolError, 0x08, str('')],
  ['Response Topic with +', protocolError, 0x08, str('a/+')],
  ['Response Topic with #', protocolError, 0x08, str('#')],
  ['Response Topic that is not UTF-8', malformedPacket, 0x08, str(Buffer.of(0xc0, 0x80))],
  ['Response Topic twice', protocolError, 0x08, str('a'), 0x08, str('b')],
  ['Correlation Data cut', malformedPacket, 0x09, u16(2), [1]],
  ['Correlation Data twice', protocolError, 0x09, str('a'), 0x09, str('a')],
  ['Topic Alias 0', topicAliasInvalid, 0x23, u16(0)],
  ['Topic Alias cut', malformedPacket, 0x23, 1],
  ['Topic Alias twice', protocolError, 0x23, u16(1), 0x23, u16(1)],
  ['User Property without value', malformedPacket, 0x26, str('a')],
  ['User Property with half a name', malformedPacket, 0x26, u16(2), [0x61]],
  ['User Property whose name is not UTF-8', malformedPacket, 0x26, str(Buffer.of(0xf5)), str('a')],
  ['User Property whose value is not UTF-8', malformedPacket, 0x26, str('a'), str(Buffer.of(0x80))],
  ['Subscription Identifier, which only a server sends', protocolError, 0x0b, 1],
  ['an unknown identifier', malformedPacket, 0x7f, 1],
  ['identifier 0', malformedPacket, 0x00, 1],
  ['an identifier of two bytes', malformedPacket, 0x81, 0x01],
  ['a good property and then a bad one', malformedPacket, 0x03, str('a'), 0x01],
  ['a second Payload Format Indicator that is cut', protocolError, 0x01, 1, 0x01],
];
for (const [fault, code, ...parts] of FAULTS) {
  t.test(`${fault} is refused with the code of the specification`, async (t) => {
    t.equal(
      refusalOf(() => parse(...parts)),
      code,
    );
    const own = bytes(...parts);
    t.equal(
      refusalOf(() => decodeProperties(own, 0, own.length, 'publish', 'toServer')),
      code,
      'which is what the reader of whole packets says',
    );
  });
}

t.test('properties of other packets are malformed here [MQTT 5, section 2.2.2.2]', async (t) => {
  const strangers = PROPERTIES.filter(
    ({ carriers }) => !carriers.some((carrier) => carrier.startsWith('publish')),
  );
  t.equal(strangers.length, 19);
  for (const { id, key } of strangers) {
    t.equal(
      refusalOf(() => parse(id, [0, 0, 0, 0, 0])),
      malformedPacket,
      key,
    );
    t.equal(
      refusalOf(() => parse([0x01, 1], [0x23, 0, 1], id, [0, 0, 0, 0, 0])),
      malformedPacket,
      `${key} behind others`,
    );
  }
});

t.test('every cut of good properties is refused or ends between two of them', async (t) => {
  const parts = [
    bytes(0x01, 1),
    bytes(0x02, u32(5)),
    pair('a', 'b'),
    bytes(0x08, str('r')),
    bytes(0x23, u16(3)),
  ];
  const own = bytes(...parts);
  const ends = new Set([0]);
  for (let index = 1; index <= parts.length; index++) ends.add(bytes(...parts.slice(0, index)).length);
  for (let end = 0; end <= own.length; end++) {
    t.equal(
      refusalOf(() => parsePublishProperties(own, 0, end)),
      ends.has(end) ? undefined : malformedPacket,
      `${end} bytes`,
    );
  }
});
