/**
 * Frames of the channel `retained`, but for those with entries (entry-frames.ts). Initiator and responder of a round:
 *
 *     i ─▶ r   root      1, round, state, digest                     let us compare
 *     i ◀─ r   equal     2, round, state                             nothing differs
 *     i ◀─ r   groups    3, round, state, 64 digests
 *     i ─▶ r   buckets   4, round, count u8, (group u8, 64 digests)…
 *     i ◀─ r   list      5, round, last u8, (bucket u16, count, (topic hash u32, digest, counter, kind u8)…)…
 *     i ─▶ r   want      6, round, topic hash u32…
 *     i ─▶ r   discard   7, round, (topic hash u32, digest)…
 *     i ─▶ r   fin       8, round                                    all has been asked for and sent
 *     i ◀─ r   finished  9, round, state                             all of that is here, and stays
 *     i ─▶ r   settled  10, round, state                             and so is yours
 *     either   credit   11, bytes                                    so many of yours have arrived
 *     either   nudge    12                                           I should like a round
 *     either   entries  13, large 14, piece 15
 *
 * `state` is what the sender says of itself: floor, end of its log, version of its roster, what it knows and what was dropped (see
 * TombstoneKeeper): count, (gateway 32 bytes, tick)…
 */
import {
  type GatewayId,
  gatewayIdOf,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { RETAINED_COUNTER_MAX } from '../../lib/contracts/streams.js';
import { type ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { readPosition } from '../wire/log-numbers.js';
import { BUCKET_COUNT, FRAME_SOFT_MAX_BYTES, GROUP_COUNT, TICKS_MAX_COUNT } from './limits.js';
import {
  bucketOf,
  type Digest,
  type Digests,
  type RetainedEntry,
  type RetainedIndex,
} from './retained-index.js';

export const FrameKind = {
  root: 1,
  equal: 2,
  groups: 3,
  buckets: 4,
  list: 5,
  want: 6,
  discard: 7,
  fin: 8,
  finished: 9,
  settled: 10,
  credit: 11,
  nudge: 12,
  entries: 13,
  large: 14,
  piece: 15,
} as const;

/** Ticks of gateways; see TombstoneKeeper. */
export type Ticks = readonly (readonly [gateway: GatewayId, tick: number])[];

export interface PeerState {
  readonly floor: number;
  readonly head: LogPosition;
  readonly rosterVersion: number;
  /** Only itself: it has never completed a round with anybody. */
  readonly known: Ticks;
  readonly dropped: Ticks;
}

/** Beyond this nobody reads: it is more gateways than a mesh has. */
/** On the wire with the kind. */
const OWN = 4;

const KINDS: readonly RetainedEntry['kind'][] = ['message', 'tombstone', 'shadow'];

/** An entry as the other side lists it. */
export interface ListedEntry extends Digest {
  readonly topicHash: number;
  readonly counter: number;
  readonly kind: RetainedEntry['kind'];
  /** It was published at the gateway that lists it. */
  readonly isOwn: boolean;
}

export interface ListedBucket {
  readonly bucket: number;
  readonly entries: readonly ListedEntry[];
}

export interface GroupDigests {
  readonly group: number;
  /** 64 of them. */
  readonly digests: readonly Digest[];
}

export type DiscardedEntry = Pick<ListedEntry, 'topicHash' | 'high' | 'low'>;

export type ControlFrame =
  | { readonly kind: 'root'; readonly round: number; readonly state: PeerState; readonly digest: Digest }
  | { readonly kind: 'equal' | 'finished' | 'settled'; readonly round: number; readonly state: PeerState }
  | {
      readonly kind: 'groups';
      readonly round: number;
      readonly state: PeerState;
      readonly digests: readonly Digest[];
    }
  | { readonly kind: 'buckets'; readonly round: number; readonly groups: readonly GroupDigests[] }
  | {
      readonly kind: 'list';
      readonly round: number;
      readonly last: boolean;
      readonly buckets: readonly ListedBucket[];
    }
  | { readonly kind: 'want'; readonly round: number; readonly topicHashes: readonly number[] }
  | { readonly kind: 'discard'; readonly round: number; readonly entries: readonly DiscardedEntry[] }
  | { readonly kind: 'fin'; readonly round: number }
  | { readonly kind: 'credit'; readonly bytes: number }
  | { readonly kind: 'nudge' };

const begin = (kind: keyof typeof FrameKind, round: number, bytes = 64): ByteWriter =>
  new ByteWriter(bytes).u8(FrameKind[kind]).varint(round);

function state(writer: ByteWriter, { floor, head, rosterVersion, known, dropped }: PeerState): ByteWriter {
  writer.varint(floor).varint(head).varint(rosterVersion);
  for (const ticks of [known, dropped]) {
    writer.varint(ticks.length);
    for (const [gateway, tick] of ticks) writer.raw(publicKeyOf(gateway)).varint(tick);
  }
  return writer;
}

function row(writer: ByteWriter, digests: Digests, from: number, count: number): void {
  for (let index = from; index < from + count; index++)
    writer.u32(digests.high(index)).u32(digests.low(index));
}

export function encodeRoot(round: number, of: PeerState, { high, low }: Digest): Uint8Array {
  return state(begin('root', round), of).u32(high).u32(low).finish();
}

export function encodeState(
  kind: 'equal' | 'finished' | 'settled',
  round: number,
  of: PeerState,
): Uint8Array {
  return state(begin(kind, round), of).finish();
}

export function encodeGroups(round: number, of: PeerState, index: RetainedIndex): Uint8Array {
  const writer = state(begin('groups', round, 600), of);
  row(writer, index.groups, 0, GROUP_COUNT);
  return writer.finish();
}

export function encodeBuckets(round: number, groups: readonly number[], index: RetainedIndex): Uint8Array {
  const writer = begin('buckets', round, 32 + groups.length * 513).u8(groups.length);
  const perGroup = BUCKET_COUNT / GROUP_COUNT;
  for (const group of groups) row(writer.u8(group), index.buckets, group * perGroup, perGroup);
  return writer.finish();
}

/** Made as they are sent: each bucket as it stands then. A bucket is never in two frames. */
export function* encodeLists(
  round: number,
  buckets: readonly number[],
  index: RetainedIndex,
  self: GatewayId,
): Generator<Uint8Array> {
  const writer = new ByteWriter(4096);
  writer.u8(FrameKind.list).varint(round).u8(0);
  const start = writer.length;
  for (const bucket of buckets) {
    const entries = [...index.entriesOfBucket(bucket)];
    if (writer.length > start && writer.length + entries.length * 21 > FRAME_SOFT_MAX_BYTES) {
      yield writer.finish();
      writer.u8(FrameKind.list).varint(round).u8(0);
    }
    writer.u16(bucket).varint(entries.length);
    for (const { topicHash, high, low, version, kind } of entries)
      writer
        .u32(topicHash)
        .u32(high)
        .u32(low)
        .varint(version.counter)
        .u8(KINDS.indexOf(kind) | (version.origin === self ? OWN : 0));
  }
  const last = writer.finish();
  last[start - 1] = 1;
  yield last;
}

export function encodeWant(round: number, topicHashes: readonly number[]): Uint8Array {
  const writer = begin('want', round, 16 + topicHashes.length * 4);
  for (const hash of topicHashes) writer.u32(hash);
  return writer.finish();
}

export function encodeDiscard(round: number, entries: readonly DiscardedEntry[]): Uint8Array {
  const writer = begin('discard', round, 16 + entries.length * 12);
  for (const { topicHash, high, low } of entries) writer.u32(topicHash).u32(high).u32(low);
  return writer.finish();
}

export function encodeFin(round: number): Uint8Array {
  return begin('fin', round).finish();
}

export function encodeCredit(bytes: number): Uint8Array {
  return new ByteWriter(16).u8(FrameKind.credit).varint(bytes).finish();
}

export function encodeNudge(): Uint8Array {
  return Uint8Array.of(FrameKind.nudge);
}

/** @param kind of the frame, whose first byte is read. undefined: a frame with entries. @throws MalformedFrame */
export function decodeControl(kind: number, reader: ByteReader): ControlFrame {
  const frame = decode(kind, reader);
  reader.end();
  return frame;
}

function decode(kind: number, reader: ByteReader): ControlFrame {
  if (kind === FrameKind.credit) return { kind: 'credit', bytes: reader.varint() };
  if (kind === FrameKind.nudge) return { kind: 'nudge' };
  const round = reader.varint();
  switch (kind) {
    case FrameKind.root:
      return { kind: 'root', round, state: readState(reader), digest: readDigest(reader) };
    case FrameKind.equal:
      return { kind: 'equal', round, state: readState(reader) };
    case FrameKind.finished:
      return { kind: 'finished', round, state: readState(reader) };
    case FrameKind.settled:
      return { kind: 'settled', round, state: readState(reader) };
    case FrameKind.groups:
      return { kind: 'groups', round, state: readState(reader), digests: readRow(reader, GROUP_COUNT) };
    case FrameKind.buckets:
      return { kind: 'buckets', round, groups: readGroups(reader) };
    case FrameKind.list:
      return { kind: 'list', round, last: reader.u8() === 1, buckets: readAll(reader, readBucket) };
    case FrameKind.want:
      return { kind: 'want', round, topicHashes: readAll(reader, () => reader.u32()) };
    case FrameKind.discard:
      return {
        kind: 'discard',
        round,
        entries: readAll(reader, () => ({ topicHash: reader.u32(), ...readDigest(reader) })),
      };
    case FrameKind.fin:
      return { kind: 'fin', round };
    default:
      throw new MalformedFrame(`${kind} is no frame of retained messages`);
  }
}

function readAll<T>(reader: ByteReader, read: (reader: ByteReader) => T): T[] {
  const all: T[] = [];
  while (!reader.done) all.push(read(reader));
  return all;
}

function readDigest(reader: ByteReader): Digest {
  return { high: reader.u32(), low: reader.u32() };
}

function readRow(reader: ByteReader, count: number): Digest[] {
  const digests: Digest[] = [];
  for (let n = 0; n < count; n++) digests.push(readDigest(reader));
  return digests;
}

/** Of a version, or a floor. @throws MalformedFrame where the log could not have it */
export function readCounter(reader: ByteReader): number {
  const counter = reader.varint();
  if (counter > RETAINED_COUNTER_MAX)
    throw new MalformedFrame(`a counter of ${counter} where ${RETAINED_COUNTER_MAX} is the most`);
  return counter;
}

function readState(reader: ByteReader): PeerState {
  const floor = readCounter(reader);
  const head = readPosition(reader);
  const rosterVersion = reader.varint();
  return { floor, head, rosterVersion, known: readTicks(reader), dropped: readTicks(reader) };
}

/** Any number is the tick of some epoch: see EPOCH_COUNTER_MAX. */
function readTicks(reader: ByteReader): Ticks {
  const count = reader.varint();
  if (count > TICKS_MAX_COUNT) throw new MalformedFrame(`ticks of ${count} gateways`);
  const ticks: [GatewayId, number][] = [];
  for (let n = 0; n < count; n++) ticks.push([gatewayIdOf(reader.raw(PUBLIC_KEY_BYTES)), reader.varint()]);
  return ticks;
}

function readGroups(reader: ByteReader): GroupDigests[] {
  const count = reader.u8();
  if (count > GROUP_COUNT) throw new MalformedFrame(`${count} groups of ${GROUP_COUNT}`);
  const groups: GroupDigests[] = [];
  for (let n = 0; n < count; n++) {
    const group = reader.u8();
    if (group >= GROUP_COUNT) throw new MalformedFrame(`there is no group ${group}`);
    groups.push({ group, digests: readRow(reader, BUCKET_COUNT / GROUP_COUNT) });
  }
  return groups;
}

function readBucket(reader: ByteReader): ListedBucket {
  const bucket = reader.u16();
  if (bucket >= BUCKET_COUNT) throw new MalformedFrame(`there is no bucket ${bucket}`);
  const count = reader.varint();
  const entries: ListedEntry[] = [];
  for (let n = 0; n < count; n++) {
    const topicHash = reader.u32();
    if (bucketOf(topicHash) !== bucket) throw new MalformedFrame('a topic in the wrong bucket');
    const { high, low } = readDigest(reader);
    const counter = readCounter(reader);
    const flags = reader.u8();
    const kind = KINDS[flags & ~OWN];
    if (kind === undefined) throw new MalformedFrame('an entry of no kind');
    entries.push({ topicHash, high, low, counter, kind, isOwn: (flags & OWN) !== 0 });
  }
  return { bucket, entries };
}
