/**
 * Who was evicted. Every member has the whole of it, merges what others have, and passes it on: statements are signed by the admin key,
 * so nobody has to be believed. Merging is the same in any order and however often: of each gateway the statement with the highest
 * number stays, and of all the statements the ROSTER_MAX_COUNT with the highest numbers.
 */
import { createHash } from 'node:crypto';
import { SprawlError } from '../../lib/contracts/errors.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import type { AdminBinding, AdminKey } from './admin-key.js';
import {
  isSignedEviction,
  readEviction,
  reasonFault,
  signEviction,
  type SignedEviction,
  writeEviction,
} from './eviction.js';

/** More gateways than were ever lost by one mesh; 1.2 MiB. Beyond it, a new swarm key is the better way. */
export const ROSTER_MAX_COUNT = 4096;
/** A frame of `encode` is hardly longer. */
const FRAME_TARGET_BYTES = 65_536;
const FRAME_VERSION = 1;
/** The shortest statement: 32 of the gateway, 1 of the number, 1 of the reason, 64 of the signature. */
const EVICTION_MIN_BYTES = 98;
const VERSION_DIGITS = 16;

export class Roster {
  readonly admin: AdminBinding;
  /** By gateway, the lowest number first. */
  #evictions: ReadonlyMap<GatewayId, SignedEviction> = new Map();
  #version: string;

  constructor(admin: AdminBinding) {
    this.admin = admin;
    this.#version = versionOf([]);
  }

  /** 16 hexadecimal digits: two gateways whose rosters have the same version have the same roster. */
  get version(): string {
    return this.#version;
  }

  get evictions(): readonly SignedEviction[] {
    return [...this.#evictions.values()];
  }

  isEvicted(id: GatewayId): boolean {
    return this.#evictions.has(id);
  }

  /** Why; undefined: it is not evicted. */
  evictionOf(id: GatewayId): SignedEviction | undefined {
    return this.#evictions.get(id);
  }

  /**
   * A statement of the admin, which is in the roster from now on.
   * @throws SprawlError ADMIN_KEY_WRONG, ROSTER_FULL, USAGE (the reason is too long)
   */
  evict(key: AdminKey, gateway: GatewayId, reason: string): SignedEviction {
    key.expectOf(this.admin);
    const fault = reasonFault(reason);
    if (fault !== undefined) throw new SprawlError('USAGE', `the reason cannot be taken: ${fault}`);
    if (this.#evictions.size >= ROSTER_MAX_COUNT && !this.#evictions.has(gateway)) {
      throw new SprawlError(
        'ROSTER_FULL',
        `the roster has ${ROSTER_MAX_COUNT} evictions, which is the limit; make a new mesh with "sprawl-edge init" and let those join it that are members`,
        { details: { limit: ROSTER_MAX_COUNT } },
      );
    }
    const last = this.evictions.at(-1)?.sequence ?? 0;
    const eviction = signEviction(key, { gateway, sequence: last + 1, reason });
    this.merge([eviction]);
    return eviction;
  }

  /** Takes what is validly signed and newer; everything else changes nothing. @returns the gateways of which something new is known */
  merge(statements: Iterable<SignedEviction>): GatewayId[] {
    const merged = new Map(this.#evictions);
    const news = new Set<GatewayId>();
    for (const statement of statements) {
      const known = merged.get(statement.gateway);
      if (known !== undefined && compare(statement, known) <= 0) continue;
      if (!isSignedEviction(this.admin.publicKey, statement)) continue;
      merged.set(statement.gateway, statement);
      news.add(statement.gateway);
    }
    if (news.size === 0) return [];
    const kept = [...merged.values()].sort(compare).slice(-ROSTER_MAX_COUNT);
    this.#evictions = new Map(kept.map((eviction) => [eviction.gateway, eviction]));
    this.#version = versionOf(kept);
    return [...news].filter((id) => this.#evictions.has(id));
  }

  /** The whole of it in frames, each of which can be merged alone; one frame where it is empty. */
  encode(): Uint8Array[] {
    return encodeEvictions(this.evictions);
  }
}

/** By number; what has the same one is in an order that is the same everywhere. */
function compare(left: SignedEviction, right: SignedEviction): number {
  if (left.sequence !== right.sequence) return left.sequence - right.sequence;
  if (left.gateway !== right.gateway) return left.gateway < right.gateway ? -1 : 1;
  return Buffer.compare(left.signature, right.signature);
}

function versionOf(evictions: readonly SignedEviction[]): string {
  const hash = createHash('sha256');
  for (const { signature } of evictions) hash.update(signature);
  return hash.digest('hex').slice(0, VERSION_DIGITS);
}

export function encodeEvictions(evictions: readonly SignedEviction[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const body = new ByteWriter(4096);
  let count = 0;
  const close = (): void => {
    const bytes = body.finish();
    frames.push(new ByteWriter(bytes.length + 8).u8(FRAME_VERSION).varint(count).raw(bytes).finish());
    count = 0;
  };
  for (const eviction of evictions) {
    if (body.length >= FRAME_TARGET_BYTES) close();
    writeEviction(body, eviction);
    count++;
  }
  if (count > 0 || frames.length === 0) close();
  return frames;
}

/** @throws MalformedFrame. Nothing of it is verified: `Roster.merge` does that. */
export function decodeEvictions(frame: Uint8Array): SignedEviction[] {
  const reader = new ByteReader(frame);
  const version = reader.u8();
  if (version !== FRAME_VERSION) throw new MalformedFrame(`a roster of version ${version}`);
  const count = reader.varint();
  if (count > ROSTER_MAX_COUNT || count * EVICTION_MIN_BYTES > reader.remaining)
    throw new MalformedFrame(`a roster with ${count} evictions in ${reader.remaining} bytes`);
  const evictions: SignedEviction[] = [];
  for (let i = 0; i < count; i++) evictions.push(readEviction(reader));
  reader.end();
  return evictions;
}
