/** The lenient reader of the raw test client: it refuses nothing that can be cut into fields. */
import { performance } from 'node:perf_hooks';
import { PROPERTIES, TYPES, type Properties, type TypeName, type Version } from './wire.js';

/** A control packet from the server. Fields that its type does not have keep their neutral value. */
export interface Received {
  type: TypeName;
  /** The low four bits of byte 1. */
  flags: number;
  /** The whole packet. */
  bytes: Buffer;
  /** performance.now() at its arrival. */
  atMs: number;
  packetId: number;
  topic: string;
  payload: string;
  /** The same as it came; valid as long as `bytes`. */
  payloadBytes: Buffer;
  qos: number;
  retain: boolean;
  dup: boolean;
  /** CONNACK's flags byte. */
  ackFlags: number;
  sessionPresent: boolean;
  reasonCode: number;
  reasonCodes: number[];
  properties: Properties;
  subscriptionIdentifiers: number[];
}

const EMPTY = Buffer.alloc(0);

class Cursor {
  offset = 0;
  constructor(readonly bytes: Buffer) {}
  get left(): number {
    return this.bytes.length - this.offset;
  }
  u8(): number {
    const value = this.bytes[this.offset++];
    if (value === undefined) throw new RangeError(`the packet ends early: ${this.bytes.toString('hex')}`);
    return value;
  }
  u16(): number {
    return this.u8() * 256 + this.u8();
  }
  u32(): number {
    return this.u16() * 65536 + this.u16();
  }
  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }
  take(length: number): Buffer {
    const slice = this.bytes.subarray(this.offset, this.offset + length);
    if (slice.length < length) throw new RangeError(`the packet ends early: ${this.bytes.toString('hex')}`);
    this.offset += length;
    return slice;
  }
  str(): string {
    return this.take(this.u16()).toString();
  }
}

function parseProperties(cursor: Cursor): { properties: Properties; identifiers: number[] } {
  const values: Record<string, unknown> = {};
  const identifiers: number[] = [];
  const users: [string, string][] = [];
  const end = cursor.varint() + cursor.offset;
  while (cursor.offset < end) {
    const id = cursor.u8();
    const row = PROPERTIES.find(([code]) => code === id);
    if (row === undefined) throw new RangeError(`the server sent an unknown property ${id}`);
    const [, name, kind] = row;
    if (kind === 'pair') users.push([cursor.str(), cursor.str()]);
    else if (kind === 'string') values[name] = cursor.str();
    else if (kind === 'binary') values[name] = cursor.str();
    else values[name] = cursor[kind]();
    if (name === 'subscriptionIdentifier') identifiers.push(Number(values[name]));
  }
  if (users.length > 0) values['userProperty'] = users;
  return { properties: values as Properties, identifiers };
}

function readProperties(cursor: Cursor, version: Version, into: Received): void {
  if (version !== 5 || cursor.left === 0) return;
  const { properties, identifiers } = parseProperties(cursor);
  into.properties = properties;
  into.subscriptionIdentifiers = identifiers;
}

function fill(packet: Received, cursor: Cursor, version: Version): void {
  switch (packet.type) {
    case 'connack':
      packet.ackFlags = cursor.u8();
      packet.sessionPresent = (packet.ackFlags & 1) === 1;
      packet.reasonCode = cursor.u8();
      return readProperties(cursor, version, packet);
    case 'publish':
      packet.qos = (packet.flags >> 1) & 3;
      packet.dup = (packet.flags & 8) !== 0;
      packet.retain = (packet.flags & 1) !== 0;
      packet.topic = cursor.str();
      if (packet.qos > 0) packet.packetId = cursor.u16();
      readProperties(cursor, version, packet);
      packet.payloadBytes = cursor.take(cursor.left);
      packet.payload = packet.payloadBytes.toString();
      return;
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      packet.packetId = cursor.u16();
      if (cursor.left > 0) packet.reasonCode = cursor.u8();
      return readProperties(cursor, version, packet);
    case 'suback':
    case 'unsuback':
      packet.packetId = cursor.u16();
      readProperties(cursor, version, packet);
      packet.reasonCodes = [...cursor.take(cursor.left)];
      return;
    case 'disconnect':
    case 'auth':
      if (cursor.left > 0) packet.reasonCode = cursor.u8();
      return readProperties(cursor, version, packet);
    default:
      return;
  }
}

/** Cuts one packet off the front of `bytes`; undefined while it is not whole. */
export function decode(bytes: Buffer, version: Version): Received | undefined {
  if (bytes.length < 2) return undefined;
  const cursor = new Cursor(bytes);
  const first = cursor.u8();
  let length = 0;
  for (let factor = 1; ; factor *= 128) {
    if (cursor.left === 0) return undefined;
    const byte = cursor.u8();
    length += (byte & 0x7f) * factor;
    if (byte < 0x80) break;
  }
  if (cursor.left < length) return undefined;
  const body = cursor.take(length);
  const packet: Received = {
    type: TYPES[first >> 4] ?? 'reserved',
    flags: first & 15,
    bytes: bytes.subarray(0, cursor.offset),
    atMs: performance.now(),
    packetId: 0,
    topic: '',
    payload: '',
    payloadBytes: EMPTY,
    qos: 0,
    retain: false,
    dup: false,
    ackFlags: 0,
    sessionPresent: false,
    reasonCode: 0,
    reasonCodes: [],
    properties: {},
    subscriptionIdentifiers: [],
  };
  fill(packet, new Cursor(body), version);
  return packet;
}

/** One packet in a line of a failure message. */
export function describe(packet: Received): string {
  const fields = [`0x${packet.reasonCode.toString(16).padStart(2, '0')}`];
  if (packet.type === 'publish') {
    const text =
      packet.payload.length > 40 ? `${packet.payload.length} bytes` : JSON.stringify(packet.payload);
    fields.splice(
      0,
      1,
      `q${packet.qos} r${Number(packet.retain)} d${Number(packet.dup)}`,
      packet.topic,
      text,
    );
  }
  if (packet.packetId > 0) fields.push(`id ${packet.packetId}`);
  if (packet.reasonCodes.length > 0) fields.push(`codes ${packet.reasonCodes.join(',')}`);
  if (Object.keys(packet.properties).length > 0) fields.push(JSON.stringify(packet.properties));
  return `${packet.type}(${fields.join(' ')})`;
}
