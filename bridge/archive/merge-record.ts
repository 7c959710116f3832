/**
 * One merge of a manifest: what entries `first` to `last` name is in these objects now, with every row once. As bytes it is one line of JSON, as
 * an entry is. Objects that stay as they are, since they are large already, are named again.
 */
import { type GatewayId, parseGatewayId } from '../../lib/contracts/gateway-id.js';
import {
  type ArchivedObject,
  formatFault,
  formatOf,
  hashOf,
  isCount,
  isHash,
  isRecord,
  objectsIn,
  rowsIn,
  writtenObject,
} from './manifest-entry.js';

export interface MergeRecord {
  readonly origin: GatewayId;
  /** From 1, without gaps. */
  readonly number: number;
  /** SHA-256 of the merge before; empty: it is the first. */
  readonly previous: string;
  /** Numbers of entries, both included: all of them are replaced. */
  readonly first: number;
  readonly last: number;
  readonly objects: readonly ArchivedObject[];
  /** In all objects together, and in the entries together. */
  readonly rows: number;
  /** When it was written, milliseconds since 1970, as far as its writer knew. */
  readonly atMs: number;
  /** Who wrote it. */
  readonly by: string;
}

/** Where the merges of a manifest end. */
export interface MergeTip {
  /** 0: there is none. */
  readonly number: number;
  /** SHA-256 of the last one; empty: there is none. */
  readonly hash: string;
}

export const NO_MERGES: MergeTip = { number: 0, hash: '' };

/** A merge that is not what its writer left, or that does not fit the manifest: nothing may be built on it. */
export class MergeFault extends Error {
  constructor(
    readonly origin: GatewayId,
    readonly number: number,
    reason: string,
  ) {
    super(`merge ${number} of the manifest of ${origin} ${reason}`);
    this.name = 'MergeFault';
  }
}

const LINE_END = 0x0a;
const BY_MAX_CHARACTERS = 200;

export function encodeMerge(merge: MergeRecord): Uint8Array {
  const { origin, number, previous, first, last, objects, rows, atMs, by } = merge;
  const line = JSON.stringify({
    ...{ format: formatOf(objects), origin, number, previous, first, last },
    objects: objects.map(writtenObject),
    ...{ rows, atMs, by },
  });
  return Buffer.from(`${line}\n`, 'utf8');
}

/** @param bytes as `encodeMerge` made them @throws MergeFault where they are anything else */
export function decodeMerge(origin: GatewayId, number: number, bytes: Uint8Array): MergeRecord {
  const fault = (reason: string): never => {
    throw new MergeFault(origin, number, reason);
  };
  if (bytes.at(-1) !== LINE_END) fault('is not whole');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    fault('is no JSON');
  }
  if (!isRecord(parsed)) return fault('is no merge');
  const newer = formatFault(parsed['format']);
  if (newer !== undefined) fault(newer);
  const merge = mergeOf(parsed);
  if (typeof merge === 'string') return fault(merge);
  if (merge.origin !== origin || merge.number !== number)
    fault(`says that it is merge ${merge.number} of ${merge.origin}`);
  // What was added by hand is in no field.
  if (!Buffer.from(encodeMerge(merge)).equals(bytes)) fault('was changed');
  return merge;
}

export function mergeTipOf({ number }: MergeRecord, bytes: Uint8Array): MergeTip {
  return { number, hash: hashOf(bytes) };
}

/** What is wrong with the fields, as the end of a sentence. */
function mergeOf(fields: Readonly<Record<string, unknown>>): MergeRecord | string {
  const { origin: originText, number, previous, first, last, objects: listed, rows, atMs, by } = fields;
  const origin = typeof originText === 'string' ? parseGatewayId(originText) : undefined;
  if (origin === undefined) return 'names no origin';
  if (!isCount(number) || number === 0) return 'has no number';
  if (!(previous === '' || isHash(previous))) return 'names no merge before it';
  if (!isCount(first) || !isCount(last) || first === 0 || last < first) return 'replaces no entries';
  const objects = objectsIn(listed);
  if (objects === undefined) return 'has no list of objects';
  if (new Set(objects.map(({ key }) => key)).size !== objects.length) return 'names an object twice';
  if (!isCount(rows) || rowsIn(objects) !== rows) return 'has another number of rows than its objects';
  if (!isCount(atMs)) return 'has no time';
  if (typeof by !== 'string' || by === '' || by.length > BY_MAX_CHARACTERS)
    return 'does not say who wrote it';
  return { origin, number, previous, first, last, objects, rows, atMs, by };
}

/** Why a merge cannot stand behind others; undefined: it can. @param before those that no later one replaces */
export function mergeSuccessionFault(
  tip: MergeTip,
  before: readonly MergeRecord[],
  { previous, first, last }: MergeRecord,
): string | undefined {
  if (previous !== tip.hash) return 'does not follow the one before it';
  for (const other of before) {
    if (other.last < first || last < other.first || contains({ first, last }, other)) continue;
    return `replaces entries ${first} to ${last}, which are a part of what merge ${other.number} replaced`;
  }
  return undefined;
}

/** The merges that count, in order of their entries, once `merge` is there. */
export function withMerge(before: readonly MergeRecord[], merge: MergeRecord): readonly MergeRecord[] {
  const kept = before.filter((other) => !contains(merge, other));
  const at = kept.findIndex(({ first }) => first > merge.last);
  return at < 0 ? [...kept, merge] : [...kept.slice(0, at), merge, ...kept.slice(at)];
}

type EntryRange = Pick<MergeRecord, 'first' | 'last'>;

const contains = (outer: EntryRange, inner: EntryRange): boolean =>
  outer.first <= inner.first && inner.last <= outer.last;
