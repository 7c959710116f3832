/**
 * Where rows are, in the way of Hive: `data/date=2026-11-29/prefix=site%2Fharbour/<origin>-<epoch>-<first>-<last>-<hash>.parquet`. A reader
 * that wants a day, or a part of the topics, asks for nothing else. What a merge made has its number before the hash: `…-<last>-m7-<hash>.parquet`.
 */
import { createHash } from 'node:crypto';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';

export interface PartitionScheme {
  readonly by: 'day' | 'hour';
  /** How many of the first levels of a topic make a partition; 0: topics make none. */
  readonly topicLevels: number;
}

export type FileFormat = 'parquet' | 'ndjson';

/** What is in one object, and says so in its name. */
export interface ObjectName {
  readonly origin: GatewayId;
  /** Counter of the origin's life. */
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  /** Of its bytes: two that were made from the same positions otherwise do not get in each other's way. */
  readonly sha256: string;
  readonly format: FileFormat;
  /** Number of the merge for which it was made; undefined: it is of an entry. */
  readonly merge?: number | undefined;
}

/** What the key of an object says. */
export interface ParsedKey {
  readonly partition: string;
  /** First characters of its id. */
  readonly originStart: string;
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  /** undefined: it is of an entry. */
  readonly merge: number | undefined;
  readonly format: FileFormat;
}

const ORIGIN_CHARACTERS = 16;
const HASH_CHARACTERS = 8;
const VALUE_MAX_CHARACTERS = 120;
/** Hive's name of it. */
export const NOTHING = '__HIVE_DEFAULT_PARTITION__';
const DAY_CHARACTERS = '2026-11-29'.length;
const HOUR_AT = '2026-11-29T'.length;

/** @param timeMs milliseconds since 1970 */
export function partitionOf({ by, topicLevels }: PartitionScheme, timeMs: number, topic: string): string {
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only writes the time down
  const time = new Date(timeMs).toISOString();
  const date = `date=${time.slice(0, DAY_CHARACTERS)}`;
  const hour = by === 'hour' ? `/hour=${time.slice(HOUR_AT, HOUR_AT + 2)}` : '';
  return `${date}${hour}${topicLevels === 0 ? '' : `/prefix=${valueOf(firstLevels(topic, topicLevels))}`}`;
}

const HOUR_MS = 3_600_000;
const TOPICS_REMEMBERED = 10_000;

/** `partitionOf`, which remembers: most rows are of the hour and of the topics of those before. */
export class Partitions {
  readonly #scheme: PartitionScheme;
  readonly #byTopic = new Map<string, string>();
  #hour = NaN;

  constructor(scheme: PartitionScheme) {
    this.#scheme = scheme;
  }

  of(timeMs: number, topic: string): string {
    const hour = Math.floor(timeMs / HOUR_MS);
    if (hour !== this.#hour || this.#byTopic.size >= TOPICS_REMEMBERED) {
      this.#hour = hour;
      this.#byTopic.clear();
    }
    let partition = this.#byTopic.get(topic);
    if (partition === undefined) {
      partition = partitionOf(this.#scheme, timeMs, topic);
      this.#byTopic.set(topic, partition);
    }
    return partition;
  }
}

export function objectKey(
  partition: string,
  { origin, epoch, first, last, sha256, format, merge }: ObjectName,
): string {
  const name = [
    ...[originStart(origin), epoch, first, last],
    ...(merge === undefined ? [] : [`m${merge}`]),
    sha256.slice(0, HASH_CHARACTERS),
  ].join('-');
  return `data/${partition}/${name}.${format}`;
}

/** As names of objects begin. */
export function originStart(origin: GatewayId): string {
  return origin.slice(0, ORIGIN_CHARACTERS);
}

const KEY =
  /^data\/(.+)\/([0-9a-f]{16})-(\d{1,15})-(\d{1,15})-(\d{1,15})(?:-m(\d{1,12}))?-[0-9a-f]{8}\.(parquet|ndjson)$/;

/** @returns undefined: `objectKey` made no such key */
export function parseObjectKey(key: string): ParsedKey | undefined {
  const [, partition, start, epoch, first, last, merge, format] = KEY.exec(key) ?? [];
  if (partition === undefined || start === undefined) return undefined;
  return {
    ...{ partition, originStart: start, epoch: Number(epoch), first: Number(first), last: Number(last) },
    merge: merge === undefined ? undefined : Number(merge),
    format: format === 'ndjson' ? 'ndjson' : 'parquet',
  };
}

function firstLevels(topic: string, count: number): string {
  let end = -1;
  for (let level = 0; level < count; level++) {
    end = topic.indexOf('/', end + 1);
    if (end < 0) return topic;
  }
  return topic.slice(0, end);
}

/** As Hive writes values in paths; a long one ends with a hash in place of its rest. */
function valueOf(text: string): string {
  if (text === '') return NOTHING;
  // Levels that are called so are not nothing.
  const whole = text === NOTHING ? text.replace('_', '%5F') : escaped(text);
  if (whole.length <= VALUE_MAX_CHARACTERS) return whole;
  const hash = createHash('sha256').update(text).digest('hex').slice(0, ORIGIN_CHARACTERS);
  let kept = '';
  for (const character of text) {
    const next = kept + escaped(character);
    if (next.length + 1 + hash.length > VALUE_MAX_CHARACTERS) break;
    kept = next;
  }
  return `${kept}~${hash}`;
}

function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*.]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
