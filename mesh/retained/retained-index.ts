/**
 * The versions of all that is retained, and digests of them, so that two gateways find what differs without telling each other
 * everything:
 *
 *     root ── 64 groups ── 64 buckets each ── topics whose hash begins with the number of the bucket
 *
 * A digest is the exclusive or of the hashes of (topic, version) below it: a change costs three of them, in any order.
 */
import type { RetainedVersion } from '../../lib/contracts/streams.js';
import { BUCKET_BITS, BUCKET_COUNT, GROUP_COUNT } from './limits.js';

/**
 * `shadow`: the gateway knows of the version and has no message: it had no room for it, or its import filters keep it out. Others do
 * not send it again.
 */
export type RetainedKind = 'message' | 'tombstone' | 'shadow';

/** 64 bits. */
export interface Digest {
  readonly high: number;
  readonly low: number;
}

/** As it stands: it changes with its topic. */
export interface RetainedEntry extends Digest {
  readonly topic: string;
  readonly version: RetainedVersion;
  readonly kind: RetainedKind;
  /** 32 bits; the first ones are its bucket. */
  readonly topicHash: number;
}

type KnownEntry = { -readonly [field in keyof RetainedEntry]: RetainedEntry[field] };

/** A row of digests. */
export class Digests {
  readonly #words: Uint32Array;
  constructor(readonly count: number) {
    this.#words = new Uint32Array(count * 2);
  }

  high(index: number): number {
    return this.#words[index * 2] ?? 0;
  }

  low(index: number): number {
    return this.#words[index * 2 + 1] ?? 0;
  }

  toggle(index: number, { high, low }: Digest): void {
    this.#words[index * 2] = this.high(index) ^ high;
    this.#words[index * 2 + 1] = this.low(index) ^ low;
  }
}

const PER_GROUP = BUCKET_COUNT / GROUP_COUNT;
const NONE: ReadonlyMap<string, KnownEntry> = new Map();

export function bucketOf(topicHash: number): number {
  return topicHash >>> (32 - BUCKET_BITS);
}

export class RetainedIndex {
  readonly buckets = new Digests(BUCKET_COUNT);
  readonly groups = new Digests(GROUP_COUNT);
  readonly #root = new Digests(1);
  readonly #entries: (Map<string, KnownEntry> | undefined)[] = new Array(BUCKET_COUNT).fill(undefined);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get root(): Digest {
    return { high: this.#root.high(0), low: this.#root.low(0) };
  }

  entryOf(topic: string): RetainedEntry | undefined {
    return this.#entries[bucketOf(hashTopic(topic))]?.get(topic);
  }

  /** undefined: nothing, not even a tombstone. */
  versionOf(topic: string): RetainedVersion | undefined {
    return this.entryOf(topic)?.version;
  }

  entriesOfBucket(bucket: number): Iterable<RetainedEntry> {
    return (this.#entries[bucket] ?? NONE).values();
  }

  /** The owner changed what the topic retains. Topics that begin with `$` are each gateway's own. @param version undefined: nothing is left */
  changed(topic: string, version: RetainedVersion | undefined, kind: RetainedKind = 'message'): void {
    if (topic.startsWith('$')) return;
    const topicHash = hashTopic(topic);
    const bucket = bucketOf(topicHash);
    const entries = (this.#entries[bucket] ??= new Map<string, KnownEntry>());
    const entry = entries.get(topic);
    if (entry !== undefined) this.#toggle(bucket, entry);
    if (version === undefined) {
      if (entries.delete(topic)) this.#count--;
      return;
    }
    const { high, low } = hashEntry(topicHash, topic, version);
    if (entry === undefined) {
      const added: KnownEntry = { topic, version, kind, topicHash, high, low };
      entries.set(topic, added);
      this.#toggle(bucket, added);
      this.#count++;
    } else {
      entry.version = version;
      entry.kind = kind;
      entry.high = high;
      entry.low = low;
      this.#toggle(bucket, entry);
    }
  }

  #toggle(bucket: number, digest: Digest): void {
    this.buckets.toggle(bucket, digest);
    this.groups.toggle(Math.floor(bucket / PER_GROUP), digest);
    this.#root.toggle(0, digest);
  }
}

/** FNV-1a over UTF-16 units, then the finish of MurmurHash3, as the first bits choose the bucket. */
export function hashTopic(topic: string): number {
  return finish(fnv(0x811c9dc5, topic));
}

function hashEntry(
  topicHash: number,
  topic: string,
  { counter, origin, epoch, sequence }: RetainedVersion,
): Digest {
  const version = fnv(fnv(Math.imul(counter, 0x9e3779b1), origin), epoch.nonce);
  const numbers = mix(mix(mix(version, epoch.counter), sequence), Math.floor(sequence / 2 ** 32));
  const high = finish(mix(numbers, topicHash));
  const low = finish(mix(fnv(high ^ 0x5bd1e995, topic), Math.imul(numbers, 0x85ebca6b)));
  return { high, low };
}

function fnv(seed: number, text: string): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

function mix(hash: number, value: number): number {
  const turned = Math.imul(hash ^ Math.imul(value, 0xcc9e2d51), 0x1b873593);
  return (turned ^ (turned >>> 15)) + 0x6b43a9b5;
}

function finish(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
