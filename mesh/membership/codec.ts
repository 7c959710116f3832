/**
 * What membership says to membership, by datagram and by frame alike. A message is
 *
 *     u8 version · u8 kind · body (with its length) · varint count · count x record (each with its length)
 *
 * and a record
 *
 *     32 id · varint epoch counter · 8 nonce · varint incarnation · u8 status · u8 flags · [32 accuser] · [metadata with its length]
 *
 * Later versions add fields at the end of a body, a record or the metadata: what is not known there is passed over, and so is a kind that is not
 * known. The version is only raised when that is not enough.
 */
import { type GatewayId, gatewayIdOf, PUBLIC_KEY_BYTES } from '../../lib/contracts/gateway-id.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { readEpochCounter } from '../wire/log-numbers.js';
import {
  ADDRESS_MAX_BYTES,
  ADDRESSES_MAX_COUNT,
  BODY_MAX_BYTES,
  HEALTH_MAX_COUNT,
  HEALTH_REASON_MAX_BYTES,
  INCARNATION_MAX,
  RECORD_MAX_BYTES,
  RECORDS_MAX_COUNT,
  SITE_MAX_BYTES,
  SOFTWARE_MAX_BYTES,
} from './limits.js';
import {
  type DigestEntry,
  MEMBER_STATUSES,
  type MemberRecord,
  type MemberStatus,
  type Metadata,
  statusRank,
} from './member.js';

const WIRE_VERSION = 1;
const NONCE_BYTES = 8;
const HAS_ACCUSER = 1;
const HAS_METADATA = 2;
const LINK_CLOSED = 4;

const Kind = { ping: 1, ack: 2, nack: 3, pingFor: 4, push: 5, digest: 6, want: 7, view: 8 } as const;

export type Body =
  /** `view`: fingerprint of the members that the sender sees. */
  | { readonly kind: 'ping'; readonly sequence: number; readonly target: GatewayId; readonly view: number }
  | { readonly kind: 'ack'; readonly sequence: number; readonly view: number }
  /** The one that was asked to ping got no answer either: at least it is there itself. */
  | { readonly kind: 'nack'; readonly sequence: number }
  | { readonly kind: 'pingFor'; readonly sequence: number; readonly target: GatewayId }
  | { readonly kind: 'push' }
  /** Whoever sees something else sends its digest. */
  | { readonly kind: 'view'; readonly view: number }
  | { readonly kind: 'digest'; readonly entries: readonly DigestEntry[] }
  | { readonly kind: 'want'; readonly ids: readonly GatewayId[] };

export interface MembershipMessage {
  readonly body: Body;
  readonly records: readonly MemberRecord[];
}

function writeId(out: ByteWriter, id: GatewayId): void {
  out.raw(Buffer.from(id, 'hex'));
}

function readId(from: ByteReader): GatewayId {
  return gatewayIdOf(from.raw(PUBLIC_KEY_BYTES));
}

function readMost(from: ByteReader, most: number, what: string): number {
  const value = from.varint();
  if (value > most) throw new MalformedFrame(`${what} of ${value}, at most ${most} is allowed`);
  return value;
}

function readStatus(from: ByteReader): MemberStatus {
  const status = MEMBER_STATUSES[from.u8()];
  if (status === undefined) throw new MalformedFrame('no such status');
  return status;
}

function readIncarnation(from: ByteReader): number {
  return readMost(from, INCARNATION_MAX, 'an incarnation');
}

/** Nobody could answer an accusation of the highest incarnation. */
function checkAnswerable(status: MemberStatus, incarnation: number): void {
  if (status !== 'alive' && status !== 'left' && incarnation >= INCARNATION_MAX)
    throw new MalformedFrame('an accusation that cannot be answered');
}

function writeTexts(out: ByteWriter, texts: readonly string[]): void {
  out.varint(texts.length);
  for (const text of texts) out.text(text);
}

function readTexts(from: ByteReader, maxCount: number, maxBytes: number): string[] {
  const count = readMost(from, maxCount, 'a count');
  const texts: string[] = [];
  for (let n = 0; n < count; n++) texts.push(from.text(maxBytes));
  return texts;
}

const inner = new ByteWriter(512);
const outer = new ByteWriter(1024);

function encodeMetadata(metadata: Metadata): Uint8Array {
  inner.clear();
  inner.varint(metadata.version).text(metadata.site);
  writeTexts(inner, metadata.addresses);
  inner.text(metadata.software).u8(Math.round(metadata.load * 255));
  writeTexts(inner, metadata.health);
  return inner.finish();
}

function decodeMetadata(bytes: Uint8Array): Metadata {
  const from = new ByteReader(bytes);
  return {
    version: from.varint(),
    site: from.text(SITE_MAX_BYTES),
    addresses: readTexts(from, ADDRESSES_MAX_COUNT, ADDRESS_MAX_BYTES),
    software: from.text(SOFTWARE_MAX_BYTES),
    load: from.u8() / 255,
    health: readTexts(from, HEALTH_MAX_COUNT, HEALTH_REASON_MAX_BYTES),
  };
}

export function encodeRecord(record: MemberRecord): Uint8Array {
  const metadata = record.metadata === undefined ? undefined : encodeMetadata(record.metadata);
  inner.clear();
  writeId(inner, record.id);
  inner.varint(record.epoch.counter).raw(Buffer.from(record.epoch.nonce, 'hex'));
  inner.varint(record.incarnation).u8(statusRank(record.status));
  inner.u8(
    (record.accuser === undefined ? 0 : HAS_ACCUSER) |
      (metadata === undefined ? 0 : HAS_METADATA) |
      (record.evidence === 'closed' ? LINK_CLOSED : 0),
  );
  if (record.accuser !== undefined) writeId(inner, record.accuser);
  if (metadata !== undefined) inner.bytes(metadata);
  return inner.finish();
}

function decodeRecord(bytes: Uint8Array): MemberRecord {
  const from = new ByteReader(bytes);
  const id = readId(from);
  const counter = readEpochCounter(from);
  const nonce = Buffer.from(from.raw(NONCE_BYTES)).toString('hex');
  const incarnation = readIncarnation(from);
  const status = readStatus(from);
  checkAnswerable(status, incarnation);
  const flags = from.u8();
  const accuser = (flags & HAS_ACCUSER) === 0 ? undefined : readId(from);
  const metadata = (flags & HAS_METADATA) === 0 ? undefined : decodeMetadata(from.bytes(RECORD_MAX_BYTES));
  const evidence = (flags & LINK_CLOSED) === 0 ? 'silent' : 'closed';
  return { id, epoch: { counter, nonce }, incarnation, status, accuser, evidence, metadata };
}

function writeBody(out: ByteWriter, body: Body): void {
  switch (body.kind) {
    case 'ping':
      out.u32(body.sequence);
      writeId(out, body.target);
      out.u32(body.view);
      return;
    case 'ack':
      out.u32(body.sequence).u32(body.view);
      return;
    case 'nack':
      out.u32(body.sequence);
      return;
    case 'pingFor':
      out.u32(body.sequence);
      writeId(out, body.target);
      return;
    case 'push':
      return;
    case 'view':
      out.u32(body.view);
      return;
    case 'digest':
      out.varint(body.entries.length);
      for (const entry of body.entries) writeEntry(out, entry);
      return;
    case 'want':
      out.varint(body.ids.length);
      for (const id of body.ids) writeId(out, id);
  }
}

function writeEntry(out: ByteWriter, entry: DigestEntry): void {
  writeId(out, entry.id);
  out
    .varint(entry.counter)
    .varint(entry.incarnation)
    .u8(statusRank(entry.status))
    .varint(entry.metadataVersion);
}

function readEntry(from: ByteReader): DigestEntry {
  const id = readId(from);
  const counter = readEpochCounter(from);
  const incarnation = readIncarnation(from);
  const status = readStatus(from);
  checkAnswerable(status, incarnation);
  return { id, counter, incarnation, status, metadataVersion: from.varint() };
}

function readList<T>(from: ByteReader, read: (from: ByteReader) => T): T[] {
  const count = readMost(from, RECORDS_MAX_COUNT, 'a count');
  const list: T[] = [];
  for (let n = 0; n < count; n++) list.push(read(from));
  return list;
}

/** undefined: a kind of a later version. */
function decodeBody(kind: number, from: ByteReader): Body | undefined {
  switch (kind) {
    case Kind.ping:
      return { kind: 'ping', sequence: from.u32(), target: readId(from), view: from.u32() };
    case Kind.ack:
      return { kind: 'ack', sequence: from.u32(), view: from.u32() };
    case Kind.nack:
      return { kind: 'nack', sequence: from.u32() };
    case Kind.pingFor:
      return { kind: 'pingFor', sequence: from.u32(), target: readId(from) };
    case Kind.push:
      return { kind: 'push' };
    case Kind.view:
      return { kind: 'view', view: from.u32() };
    case Kind.digest:
      return { kind: 'digest', entries: readList(from, readEntry) };
    case Kind.want:
      return { kind: 'want', ids: readList(from, readId) };
    default:
      return undefined;
  }
}

/** @param records as `encodeRecord` makes them */
export function encodeMessage(body: Body, records: readonly Uint8Array[] = []): Uint8Array {
  inner.clear();
  writeBody(inner, body);
  const bodyBytes = inner.finish();
  outer.clear();
  outer.u8(WIRE_VERSION).u8(Kind[body.kind]).bytes(bodyBytes).varint(records.length);
  for (const record of records) outer.bytes(record);
  return outer.finish();
}

/** @returns undefined for a kind of a later version. @throws MalformedFrame for what no peer of this protocol sends */
export function decodeMessage(bytes: Uint8Array): MembershipMessage | undefined {
  const from = new ByteReader(bytes);
  const version = from.u8();
  if (version !== WIRE_VERSION) throw new MalformedFrame(`version ${version} of membership`);
  const kind = from.u8();
  const body = decodeBody(kind, new ByteReader(from.bytes(BODY_MAX_BYTES)));
  if (body === undefined) return undefined;
  const count = readMost(from, RECORDS_MAX_COUNT, 'a count');
  const records: MemberRecord[] = [];
  for (let n = 0; n < count; n++) records.push(decodeRecord(from.bytes(RECORD_MAX_BYTES)));
  return { body, records };
}
