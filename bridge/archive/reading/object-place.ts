/** What the key of an object says of the rows in it, so that nobody opens one in vain. The other side of object-key.ts. */
import { type FileFormat, NOTHING } from '../object-key.js';

export interface ObjectPlace {
  /** undefined: the name says none that is known here. */
  readonly format: FileFormat | undefined;
  /** `2026-11-29`, UTC. */
  readonly date: string | undefined;
  /** `07`, where hours are partitions. */
  readonly hour: string | undefined;
  /** What the topics of all rows begin with, whole levels; undefined: that is not known. */
  readonly topic: string | undefined;
  /** Of the time of all rows, milliseconds since 1970; -Infinity where it is not known. */
  readonly fromMs: number;
  /** Rows are before it; Infinity where it is not known. */
  readonly toMs: number;
}

/** What is wanted of an archive. */
export interface Selection {
  /** First characters of the ids of origins; none: all of them. */
  readonly origins: readonly string[];
  /** Milliseconds since 1970, included. */
  readonly fromMs: number;
  /** Not included. */
  readonly toMs: number;
  /** Valid topic filters; none: every topic. */
  readonly filters: readonly string[];
}

export const EVERYTHING: Selection = { origins: [], fromMs: -Infinity, toMs: Infinity, filters: [] };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DATE = /\/date=(\d{4}-\d{2}-\d{2})\//;
const HOUR = /\/hour=(\d{2})\//;
const TOPIC = /\/prefix=([^/]*)\//;
const FORMAT = /\.(parquet|ndjson)$/;
/** A value that was too long: what is before it is a part of the levels. A topic may look like that, too. */
const CUT = /~[0-9a-f]{16}$/;

export function parsePlace(key: string): ObjectPlace {
  const date = DATE.exec(key)?.[1];
  const hour = HOUR.exec(key)?.[1];
  const format = FORMAT.exec(key)?.[1];
  const value = TOPIC.exec(key)?.[1];
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only reads what is written down
  const startMs = date === undefined ? NaN : Date.parse(`${date}T${hour ?? '00'}:00:00Z`);
  const isKnown = !Number.isNaN(startMs);
  return {
    format: format === 'parquet' || format === 'ndjson' ? format : undefined,
    date,
    hour,
    topic: value === undefined ? undefined : topicOf(value),
    fromMs: isKnown ? startMs : -Infinity,
    toMs: isKnown ? startMs + (hour === undefined ? DAY_MS : HOUR_MS) : Infinity,
  };
}

function topicOf(value: string): string | undefined {
  if (value === NOTHING) return '';
  if (CUT.test(value)) return undefined;
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

/** Whether a row of the selection may be in an object; false: none is. */
export function mayHold({ fromMs, toMs, topic }: ObjectPlace, selection: Selection): boolean {
  if (fromMs >= selection.toMs || toMs <= selection.fromMs) return false;
  const { filters } = selection;
  if (topic === undefined || filters.length === 0) return true;
  return filters.some((filter) => mayBegin(topic, filter));
}

/** Whether a topic that is `prefix`, or goes on behind it with `/`, may match: see topicMatchesFilter. */
function mayBegin(prefix: string, filter: string): boolean {
  const names = prefix.split('/');
  const patterns = filter.split('/');
  if (prefix.startsWith('$') && (patterns[0] === '+' || patterns[0] === '#')) return false;
  for (const [index, name] of names.entries()) {
    const pattern = patterns[index];
    if (pattern === '#') return true;
    if (pattern !== '+' && pattern !== name) return false;
  }
  return true;
}
