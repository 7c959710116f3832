/** What can be compared of a message of the log and its row, without either: a line of JSON for each, on its way out of a gateway that runs. */
import { createHash } from 'node:crypto';
import { type Epoch, type EpochStart, isSameEpoch, type Lineage } from '../../../lib/contracts/epoch.js';
import { type GatewayId, parseGatewayId } from '../../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { isCount, isRecord, type PositionRange } from '../manifest-entry.js';

/** Of a message of the log. */
export interface LogMark {
  readonly sequence: LogPosition;
  /** When it was taken in as the log says, milliseconds since 1970. */
  readonly timeMs: number;
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  /** Of properties and payload. */
  readonly digest: string;
  /** The same where it is JSON with line ends: lines of JSON have blanks in their place. */
  readonly lineDigest?: string | undefined;
  /** Length of its payload. */
  readonly bytes: number;
}

/** Some of the log: its messages behind one position and before `next`. */
export interface LogBlock {
  readonly marks: readonly LogMark[];
  /** What the log does not have any more, or cannot read; of those between some may be there. */
  readonly lost: PositionRange | undefined;
  readonly next: LogPosition;
}

export interface LogFacts {
  readonly origin: GatewayId;
  readonly lineage: Lineage;
  /** The first position that the log still has. */
  readonly first: LogPosition;
  /** Its last one. */
  readonly committed: LogPosition;
}

/** The log of a gateway, wherever it is read. */
export interface GatewayLog extends LogFacts {
  /** Number of the last entry of the archive that the gateway has seen there; undefined: it does not say. */
  readonly lastEntry?: number | undefined;
  /** Messages behind `after` and up to `upTo`, as far as they are committed. */
  read(after: LogPosition, upTo: LogPosition): AsyncIterable<LogBlock>;
}

const DIGEST_CHARACTERS = 22;

/** 128 bits, in base64. @param properties as rows have them */
export function digestOf(properties: string | undefined, payload: Uint8Array): string {
  // JSON has no byte 0.
  const hash = createHash('sha256')
    .update(`${properties ?? ''}\0`)
    .update(payload);
  return hash.digest('base64url').slice(0, DIGEST_CHARACTERS);
}

/** The life that a position of the log is of: undefined where it began before any that is remembered. */
export function lifeOf(lineage: Lineage, position: LogPosition): EpochStart | undefined {
  return lineage.findLast(({ after }) => after < position);
}

/** Up to where what was archived of a life is what the log has: a folder that was put back goes on beside it. */
export function sharedUpTo(lineage: Lineage, life: Epoch): LogPosition {
  const index = lineage.findIndex((known) => isSameEpoch(known, life));
  if (index >= 0) return Math.min(Infinity, ...lineage.slice(index + 1).map(({ after }) => after));
  const [oldest] = lineage;
  // A gateway forgets lives that are long over; of others this log has nothing.
  return oldest !== undefined && life.counter < oldest.counter ? oldest.after : 0;
}

export function encodeFacts({ origin, lineage, first, committed }: LogFacts): string {
  const lives = lineage.map(({ counter, nonce, after }) => ({ counter, nonce, after }));
  return `${JSON.stringify({ origin, lives, first, committed })}\n`;
}

export function encodeBlock({ marks, lost, next }: LogBlock, lineage: Lineage): string {
  let text = '';
  for (const mark of marks) {
    const { sequence, timeMs, topic, qos, retain, digest, lineDigest, bytes } = mark;
    const epoch = lifeOf(lineage, sequence)?.counter ?? null;
    text += `${JSON.stringify({ sequence, epoch, timeMs, topic, qos, retain, bytes, digest, lineDigest })}\n`;
  }
  return `${text}${JSON.stringify({ ...(lost === undefined ? {} : { lost }), next })}\n`;
}

/** @returns undefined: it is no first line */
export function decodeFacts(line: string): LogFacts | undefined {
  const fields = fieldsOf(line);
  const { origin: originText, lives, first, committed } = fields ?? {};
  const origin = typeof originText === 'string' ? parseGatewayId(originText) : undefined;
  if (origin === undefined || !Array.isArray(lives) || !lives.every(isLife)) return undefined;
  return isCount(first) && isCount(committed) ? { origin, lineage: lives, first, committed } : undefined;
}

/** @returns a message, or where a block ends; undefined: it is neither */
export function decodeLine(line: string): LogMark | Omit<LogBlock, 'marks'> | undefined {
  const fields = fieldsOf(line);
  if (fields === undefined) return undefined;
  const { next, lost } = fields;
  if (isCount(next)) return lost === undefined || isRange(lost) ? { lost, next } : undefined;
  return isMark(fields) ? fields : undefined;
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const fields: unknown = JSON.parse(line);
    return isRecord(fields) ? fields : undefined;
  } catch {
    return undefined;
  }
}

function isMark(fields: unknown): fields is LogMark {
  if (!isRecord(fields)) return false;
  const { sequence, timeMs, topic, qos, retain, digest, lineDigest, bytes } = fields;
  const isDigest = typeof digest === 'string' && (lineDigest === undefined || typeof lineDigest === 'string');
  return (
    [sequence, timeMs, qos, bytes].every(isCount) &&
    typeof topic === 'string' &&
    typeof retain === 'boolean' &&
    isDigest
  );
}

const isLife = (value: unknown): value is EpochStart =>
  isRecord(value) &&
  isCount(value['counter']) &&
  isCount(value['after']) &&
  typeof value['nonce'] === 'string';
const isRange = (value: unknown): value is PositionRange =>
  Array.isArray(value) && value.length === 2 && value.every(isCount);
