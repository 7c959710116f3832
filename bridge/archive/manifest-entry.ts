/**
 * One entry of a manifest: what an origin took in behind `after` and up to `upTo` is in these objects, and nowhere else. As bytes it is one line of
 * JSON, always the same for the same entry, so that its SHA-256 names it.
 */
import { createHash } from 'node:crypto';
import type { Epoch } from '../../lib/contracts/epoch.js';
import { type GatewayId, parseGatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';

export interface ArchivedObject {
  readonly key: string;
  /** Bytes. */
  readonly length: number;
  readonly rows: number;
  /** Of its bytes, 64 hexadecimal digits. */
  readonly sha256: string;
  /** Of the master key with which it is encrypted, 16 hexadecimal digits; length and SHA-256 are those of the encrypted bytes. undefined: it is plain. */
  readonly keyId?: string | undefined;
}

/** Positions, both included. */
export type PositionRange = readonly [first: LogPosition, last: LogPosition];

export interface ManifestEntry {
  readonly origin: GatewayId;
  /** From 1, without gaps. */
  readonly number: number;
  /** SHA-256 of the entry before; empty: it is the first. */
  readonly previous: string;
  /** The life of the origin in which it took in what is in the entry. */
  readonly epoch: Epoch;
  readonly after: LogPosition;
  readonly upTo: LogPosition;
  /** Positions in it that the log of the origin had lost when it was written. */
  readonly lost: readonly PositionRange[];
  /** Fingerprint of what decided which messages of these positions are rows, and how they are laid out. */
  readonly config: string;
  /** In all objects together. */
  readonly rows: number;
  readonly objects: readonly ArchivedObject[];
  /** Who wrote it: the origin, or a gateway that finished for it. */
  readonly by: GatewayId;
}

/** Where a manifest ends. */
export interface ManifestTip {
  /** 0: it has no entries. */
  readonly number: number;
  /** SHA-256 of the last entry; empty: there is none. */
  readonly hash: string;
  readonly epoch: Epoch | undefined;
  readonly upTo: LogPosition;
}

/** An entry as somebody remembers it. */
export type KnownEntry = Pick<ManifestTip, 'number' | 'hash'>;

export const EMPTY_TIP: ManifestTip = { number: 0, hash: '', epoch: undefined, upTo: 0 };

/** A manifest that is not what its writers left: nothing may be built on it. */
export class ManifestFault extends Error {
  constructor(
    readonly origin: GatewayId,
    readonly number: number,
    reason: string,
  ) {
    super(`entry ${number} of the manifest of ${origin} ${reason}`);
    this.name = 'ManifestFault';
  }
}

const FORMAT = 1;
/** With an object that is encrypted: a version that does not know such objects is to say so. */
const FORMAT_WITH_KEYS = 2;
const LINE_END = 0x0a;
const HASH = /^[0-9a-f]{64}$/;
const NONCE = /^[0-9a-f]{16}$/;
const KEY_ID = /^[0-9a-f]{16}$/;

export function encodeEntry(entry: ManifestEntry): Uint8Array {
  const { origin, number, previous, epoch, after, upTo, lost, config, rows, objects, by } = entry;
  const line = JSON.stringify({
    ...{ format: formatOf(objects), origin, number, previous },
    epoch: { counter: epoch.counter, nonce: epoch.nonce },
    ...{ after, upTo, lost, config, rows },
    objects: objects.map(writtenObject),
    by,
  });
  return Buffer.from(`${line}\n`, 'utf8');
}

/** The fields of an object, always in the same order. */
export const writtenObject = ({ key, length, rows, sha256, keyId }: ArchivedObject): ArchivedObject => ({
  ...{ key, length, rows, sha256 },
  ...(keyId === undefined ? {} : { keyId }),
});

/** Of an entry, or a merge, with these objects. */
export function formatOf(objects: readonly ArchivedObject[]): number {
  return objects.every(({ keyId }) => keyId === undefined) ? FORMAT : FORMAT_WITH_KEYS;
}

/** Why a record cannot be read that says this of itself, as the end of a sentence; undefined: it can. */
export function formatFault(format: unknown): string | undefined {
  return typeof format === 'number' && format > FORMAT_WITH_KEYS
    ? `has format ${format}, and this version of sprawl-edge knows ${FORMAT_WITH_KEYS}: update it`
    : undefined;
}

/** @param bytes as `encodeEntry` made them @throws ManifestFault where they are anything else */
export function decodeEntry(origin: GatewayId, number: number, bytes: Uint8Array): ManifestEntry {
  const fault = (reason: string): never => {
    throw new ManifestFault(origin, number, reason);
  };
  if (bytes.at(-1) !== LINE_END) fault('is not whole');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    fault('is no JSON');
  }
  const newer = isRecord(parsed) ? formatFault(parsed['format']) : undefined;
  if (newer !== undefined) fault(newer);
  const entry = isRecord(parsed) ? entryOf(parsed) : undefined;
  if (entry === undefined) return fault('is no entry');
  if (entry.origin !== origin || entry.number !== number)
    fault(`says that it is entry ${entry.number} of ${entry.origin}`);
  // What was added by hand is in no field.
  if (!Buffer.from(encodeEntry(entry)).equals(bytes)) fault('was changed');
  return entry;
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function tipOf(entry: ManifestEntry, bytes: Uint8Array): ManifestTip {
  return { number: entry.number, hash: hashOf(bytes), epoch: entry.epoch, upTo: entry.upTo };
}

/**
 * Why an entry cannot stand behind `tip`; undefined: it can. In one life of the origin positions go on without a gap. A gateway that was put
 * back to an old image begins a new life at an earlier position: what it had archived beyond it stays, and is of the life before.
 */
export function successionFault(tip: ManifestTip, entry: ManifestEntry): string | undefined {
  const { previous, epoch, after, upTo } = entry;
  if (previous !== tip.hash) return 'does not follow the one before it';
  if (upTo < after) return `ends before it begins: (${after}, ${upTo}]`;
  const known = tip.epoch;
  if (known === undefined) return undefined;
  if (epoch.counter < known.counter) return `is of life ${epoch.counter}, and ${known.counter} had begun`;
  if (epoch.counter === known.counter && epoch.nonce !== known.nonce)
    return `is of another life ${epoch.counter} than the one before it: two gateways use one identity`;
  if (after > tip.upTo) return `begins behind ${after}, and what came before ends at ${tip.upTo}`;
  if (epoch.counter === known.counter && after < tip.upTo)
    return `begins behind ${after}, and everything up to ${tip.upTo} is archived already`;
  return undefined;
}

function entryOf(fields: Readonly<Record<string, unknown>>): ManifestEntry | undefined {
  const { origin: originText, number, previous, after, upTo, lost, config, rows, by: byText } = fields;
  const { epoch: life, objects: listed } = fields;
  const origin = typeof originText === 'string' ? parseGatewayId(originText) : undefined;
  const by = typeof byText === 'string' ? parseGatewayId(byText) : undefined;
  const epoch = isRecord(life) ? epochOf(life) : undefined;
  const objects = objectsIn(listed);
  if (origin === undefined || by === undefined || epoch === undefined || objects === undefined)
    return undefined;
  if (!isCount(number) || number === 0 || !isCount(after) || !isCount(upTo) || !isCount(rows))
    return undefined;
  if (typeof config !== 'string' || !(previous === '' || isHash(previous))) return undefined;
  if (!Array.isArray(lost) || !lost.every(isRange) || rowsIn(objects) !== rows) return undefined;
  return { origin, number, previous, epoch, after, upTo, lost, config, rows, objects, by };
}

/** Objects as they are written down; undefined: something else is. */
export function objectsIn(listed: unknown): readonly ArchivedObject[] | undefined {
  const objects = Array.isArray(listed) ? listed.map(objectOf) : [undefined];
  return objects.every(isThere) ? objects : undefined;
}

export const rowsIn = (objects: readonly ArchivedObject[]): number =>
  objects.reduce((sum, { rows }) => sum + rows, 0);

function epochOf({ counter, nonce }: Readonly<Record<string, unknown>>): Epoch | undefined {
  return isCount(counter) && typeof nonce === 'string' && NONCE.test(nonce) ? { counter, nonce } : undefined;
}

function objectOf(value: unknown): ArchivedObject | undefined {
  if (!isRecord(value)) return undefined;
  const { key, length, rows, sha256, keyId } = value;
  if (!(keyId === undefined || (typeof keyId === 'string' && KEY_ID.test(keyId)))) return undefined;
  return typeof key === 'string' && isCount(length) && isCount(rows) && isHash(sha256)
    ? writtenObject({ key, length, rows, sha256, keyId })
    : undefined;
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
export const isHash = (value: unknown): value is string => typeof value === 'string' && HASH.test(value);
export const isRange = (value: unknown): value is PositionRange => {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [first, last] = value as readonly unknown[];
  return isCount(first) && isCount(last) && first <= last;
};
const isThere = <T>(value: T | undefined): value is T => value !== undefined;
