/**
 * The first frame on a link, from both sides: who the two are to each other.
 *
 *     u8 version · text software · text site · lineage · varint end of the own log · addresses
 *     u8 what follows: 1 the newest epoch of the other that this one knows, 2 the interest of the other that it has
 *     [epoch] · [u48 life, varint version] · greeting of the stream · text version of the roster · [4: 32 bytes administrator, 32 bytes salt]
 *
 * Whoever comes later may write more at the end: what is not understood is skipped.
 */
import type { Epoch, EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { AdminBinding } from '../admission/admin-key.js';
import { readGreeting, type ReceiverGreeting, writeGreeting } from '../forward/frames.js';
import type { InterestImage } from '../interest/index.js';
import { type ByteReader, ByteReader as Reader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { readEpochCounter, readPosition } from '../wire/log-numbers.js';

export const HELLO_VERSION = 1;
const LINEAGE_MAX_COUNT = 64;
const TEXT_MAX_BYTES = 128;
const ADDRESSES_MAX_COUNT = 16;
const ROSTER_VERSION_MAX_BYTES = 32;
const ADMIN_BYTES = 32;
const NONCE_BYTES = 8;
const KNOWS_EPOCH = 1;
const HAS_INTEREST = 2;
const HAS_ADMIN = 4;

export interface Hello {
  readonly version: number;
  readonly software: string;
  readonly site: string;
  readonly lineage: Lineage;
  /** Newest position of its log. */
  readonly head: LogPosition;
  /** `host:port` at which it may be reached. */
  readonly addresses: readonly string[];
  /** Of the one that the hello is for. */
  readonly knownEpoch: Epoch | undefined;
  readonly interest: InterestImage | undefined;
  /** How much it has of the other's log. */
  readonly greeting: ReceiverGreeting;
  /** Of the roster; empty: it has none. */
  readonly rosterVersion: string;
  readonly admin: AdminBinding | undefined;
}

export function encodeHello(hello: Hello): Uint8Array {
  const writer = new ByteWriter(512);
  writer.u8(hello.version).text(hello.software).text(hello.site);
  writer.varint(hello.lineage.length);
  for (const start of hello.lineage) {
    writeEpoch(writer, start);
    writer.varint(start.after);
  }
  writer.varint(hello.head).varint(hello.addresses.length);
  for (const address of hello.addresses) writer.text(address);
  const { knownEpoch, interest, admin } = hello;
  writer.u8(
    (knownEpoch === undefined ? 0 : KNOWS_EPOCH) |
      (interest === undefined ? 0 : HAS_INTEREST) |
      (admin === undefined ? 0 : HAS_ADMIN),
  );
  if (knownEpoch !== undefined) writeEpoch(writer, knownEpoch);
  if (interest !== undefined) writer.u48(interest.life).varint(interest.version);
  writeGreeting(writer, hello.greeting);
  writer.text(hello.rosterVersion);
  if (admin !== undefined) writer.raw(admin.publicKey).raw(admin.salt);
  return writer.finish();
}

/** @throws MalformedFrame */
export function decodeHello(frame: Uint8Array): Hello {
  const reader = new Reader(frame);
  const version = reader.u8();
  if (version === 0) throw new MalformedFrame('a hello of version 0');
  const software = reader.text(TEXT_MAX_BYTES);
  const site = reader.text(TEXT_MAX_BYTES);
  const lineage = readLineage(reader);
  const head = readPosition(reader);
  const addresses = Array.from({ length: counted(reader, ADDRESSES_MAX_COUNT) }, () =>
    reader.text(TEXT_MAX_BYTES),
  );
  const flags = reader.u8();
  const knownEpoch = (flags & KNOWS_EPOCH) === 0 ? undefined : readEpoch(reader);
  const interest =
    (flags & HAS_INTEREST) === 0 ? undefined : { life: reader.u48(), version: reader.varint() };
  const greeting = readGreeting(reader);
  const rosterVersion = reader.text(ROSTER_VERSION_MAX_BYTES);
  const admin = (flags & HAS_ADMIN) === 0 ? undefined : readAdmin(reader);
  const names = { software, site, addresses };
  return { version, ...names, lineage, head, knownEpoch, interest, greeting, rosterVersion, admin };
}

function readAdmin(reader: ByteReader): AdminBinding {
  const publicKey = Uint8Array.from(reader.raw(ADMIN_BYTES));
  return { publicKey, salt: Uint8Array.from(reader.raw(ADMIN_BYTES)) };
}

function readLineage(reader: ByteReader): Lineage {
  const count = counted(reader, LINEAGE_MAX_COUNT);
  if (count === 0) throw new MalformedFrame('a gateway without an epoch');
  const lineage: EpochStart[] = [];
  for (let i = 0; i < count; i++) {
    const start = { ...readEpoch(reader), after: readPosition(reader) };
    const before = lineage.at(-1);
    if (before !== undefined && start.counter <= before.counter)
      throw new MalformedFrame('epochs that do not follow each other');
    lineage.push(start);
  }
  return lineage;
}

function writeEpoch(writer: ByteWriter, { counter, nonce }: Epoch): void {
  const bytes = Buffer.from(nonce, 'hex');
  if (bytes.length !== NONCE_BYTES) throw new RangeError(`${nonce} is no nonce of an epoch`);
  writer.varint(counter).raw(bytes);
}

function readEpoch(reader: ByteReader): Epoch {
  const counter = readEpochCounter(reader);
  if (counter === 0) throw new MalformedFrame('an epoch with the counter 0');
  return { counter, nonce: Buffer.from(reader.raw(NONCE_BYTES)).toString('hex') };
}

function counted(reader: ByteReader, maxCount: number): number {
  const count = reader.varint();
  if (count > maxCount) throw new MalformedFrame(`${count} where ${maxCount} are the most`);
  return count;
}
