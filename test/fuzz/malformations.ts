/**
 * The ways in which a packet can be wrong, as a table: each takes a well-formed packet in parts and gives bytes for the wire.
 * `null` where it does not apply to that packet. Some of the random ones leave it well-formed, which is as good a test.
 */
import { PROPERTIES, type Place } from '../../lib/protocol/index.js';
import * as wire from '../support/wire.js';
import { assemble, bodyOf, mayCarry, type Parts, propertyOf } from './parts.js';
import type { Random } from './random.js';

type Malform = (parts: Parts, random: Random) => Buffer | null;

/** A frame whose Remaining Length says what it likes. */
function frameOf(first: number, length: Buffer, body: Buffer): Buffer {
  return Buffer.concat([wire.u8(first), length, body]);
}

function changed(buffer: Buffer, at: number, ...bytes: number[]): Buffer {
  const copy = Buffer.from(buffer);
  copy.set(bytes, at);
  return copy;
}

function placeOf(parts: Parts): Place | undefined {
  return parts.type === 'reserved' ? undefined : parts.type;
}

/** As `parts`, with one more property; null where it has none. */
function withProperty(parts: Parts, ...added: Buffer[]): Buffer | null {
  if (parts.properties === undefined) return null;
  return assemble({ ...parts, properties: [...parts.properties, ...added] });
}

/** Puts bytes in the place of one character of a string. */
function withText(parts: Parts, random: Random, bytes: readonly (readonly number[])[]): Buffer | null {
  if (parts.text === undefined) {
    const [bad = []] = [random.pick(bytes)];
    return withProperty(parts, Buffer.concat([wire.u8(0x26), wire.str('k'), wire.str(Buffer.from(bad))]));
  }
  const { in: where, at } = parts.text;
  const room = parts[where].length - at;
  const fitting = bytes.filter((some) => some.length <= room);
  if (fitting.length === 0) return null;
  return assemble({ ...parts, [where]: changed(parts[where], at, ...random.pick(fitting)) });
}

function propertyLengthOff(parts: Parts, by: number): Buffer | null {
  if (parts.properties === undefined) return null;
  const bytes = Buffer.concat([...parts.properties]);
  const length = bytes.length + by;
  if (length < 0) return null;
  return wire.frame(parts.first, parts.before, wire.varint(length), bytes, parts.after);
}

export const MALFORMATIONS = {
  wellFormed: (parts) => assemble(parts),
  cutShort: (parts, random) => {
    const body = bodyOf(parts);
    return body.length === 0 ? null : wire.frame(parts.first, body.subarray(0, random.int(body.length)));
  },
  empty: (parts) => (bodyOf(parts).length === 0 ? null : wire.frame(parts.first)),
  trailingBytes: (parts, random) => wire.frame(parts.first, bodyOf(parts), random.bytes(1 + random.int(8))),
  lengthSwallowsTheNext: (parts, random) => {
    const body = bodyOf(parts);
    const next = random.pick([wire.PINGREQ, wire.publish({ version: parts.version, topic: 'fuzz/next' })]);
    return frameOf(parts.first, wire.varint(body.length + next.length), Buffer.concat([body, next]));
  },
  lengthTooShort: (parts, random) => {
    const body = bodyOf(parts);
    return body.length === 0 ? null : frameOf(parts.first, wire.varint(random.int(body.length)), body);
  },
  lengthNotMinimal: (parts) => {
    const body = bodyOf(parts);
    return frameOf(parts.first, Buffer.of((body.length & 0x7f) | 0x80, 0x80 | (body.length >> 7), 0), body);
  },
  lengthOfFiveBytes: (parts) => frameOf(parts.first, Buffer.of(0x80, 0x80, 0x80, 0x80, 0x01), bodyOf(parts)),
  tooLarge: (parts) => frameOf(parts.first, Buffer.of(0xff, 0xff, 0xff, 0x7f), bodyOf(parts)),
  headerFlags: (parts, random) => wire.frame(parts.first ^ (1 + random.int(15)), bodyOf(parts)),
  packetIdZero: (parts) =>
    parts.packetIdAt === undefined
      ? null
      : assemble({ ...parts, before: changed(parts.before, parts.packetIdAt, 0, 0) }),
  packetIdMissing: (parts) =>
    parts.packetIdAt === undefined
      ? null
      : wire.frame(parts.first, parts.before.subarray(0, parts.packetIdAt)),
  reasonCode: (parts, random) =>
    parts.reasonAt === undefined
      ? null
      : assemble({ ...parts, before: changed(parts.before, parts.reasonAt, 1 + random.int(255)) }),
  stringNotUtf8: (parts, random) =>
    withText(parts, random, [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]),
  stringWithNul: (parts, random) => withText(parts, random, [[0]]),
  wildcardMisplaced: (parts, random) => withText(parts, random, [[0x23], [0x2b], [0x23, 0x2f]]),
  propertyUnknown: (parts, random) => withProperty(parts, Buffer.of(random.pick([0, 4, 0x2b, 0x7f]), 1)),
  propertyOfAnother: (parts, random) => {
    const place = placeOf(parts);
    if (place === undefined) return null;
    const foreign = PROPERTIES.filter((one) => !mayCarry(one, place, 'toServer'));
    return withProperty(parts, propertyOf(random.pick(foreign), random));
  },
  propertyTwice: (parts, random) => {
    const place = placeOf(parts);
    if (place === undefined) return null;
    const single = PROPERTIES.filter(
      (one) => mayCarry(one, place, 'toServer') && one.key !== 'userProperties',
    );
    if (single.length === 0) return null;
    const property = propertyOf(random.pick(single), random);
    return withProperty(parts, property, property);
  },
  propertyCutShort: (parts) =>
    withProperty(parts, Buffer.concat([wire.u8(0x26), wire.str('name'), Buffer.of(0)])),
  propertyValueEmpty: (parts) =>
    withProperty(parts, Buffer.concat([wire.u8(0x26), wire.str('name'), wire.str('')])),
  propertyLengthTooLong: (parts, random) => propertyLengthOff(parts, 1 + random.int(200)),
  propertyLengthTooShort: (parts, random) => propertyLengthOff(parts, -1 - random.int(3)),
  propertiesMissing: (parts) =>
    parts.properties === undefined ? null : wire.frame(parts.first, parts.before, parts.after),
  bitsFlipped: (parts, random) => {
    const bytes = assemble(parts);
    for (let left = 1 + random.int(4); left > 0; left--) {
      const at = random.int(bytes.length);
      bytes.set([(bytes[at] ?? 0) ^ (1 << random.int(8))], at);
    }
    return bytes;
  },
  bytesInserted: (parts, random) => {
    const bytes = assemble(parts);
    const at = random.int(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.int(4)), bytes.subarray(at)]);
  },
  bytesDeleted: (parts, random) => {
    const bytes = assemble(parts);
    const at = random.int(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.int(4))]);
  },
  bodyRandom: (parts, random) => wire.frame(parts.first, random.bytes(random.int(40))),
} as const satisfies Readonly<Record<string, Malform>>;

export type MalformationName = keyof typeof MALFORMATIONS;
export const MALFORMATION_NAMES = Object.keys(MALFORMATIONS).filter(
  (name): name is MalformationName => name in MALFORMATIONS,
);

export function malform(name: MalformationName, parts: Parts, random: Random): Buffer | null {
  const change: Malform = MALFORMATIONS[name];
  return change(parts, random);
}
