/** Reads a log for those who compare it with an archive: a little at a time, and of a gateway that runs no more than leaves it to its clients. */
import type { LogPosition } from '../../../lib/contracts/store.js';
import type { OwnMessages } from '../../../lib/contracts/streams.js';
import { propertiesText } from '../row-columns.js';
import { isJson } from '../json-text.js';
import {
  digestOf,
  encodeBlock,
  encodeFacts,
  type LogBlock,
  type LogFacts,
  type LogMark,
} from './log-mark.js';

export interface BlockPorts {
  /** Own messages from a position on, those of QoS 0 that are in the log for the archive, too. */
  readOwn(from: LogPosition): Promise<OwnMessages>;
  /** Between two blocks. */
  pause(): Promise<void>;
}

/** What is read at once, about: bytes. A block of small messages takes a few milliseconds of a small machine. */
export const BLOCK_BYTES = 32_768;

/** As GatewayLog.read. */
export async function* logBlocks(
  { readOwn, pause }: BlockPorts,
  after: LogPosition,
  upTo: LogPosition,
): AsyncGenerator<LogBlock> {
  for (let at = after + 1; at <= upTo;) {
    const block = blockOf(await readOwn(at), upTo);
    // Nothing is committed behind it.
    if (block.next === at) return;
    at = block.next;
    yield block;
    await pause();
  }
}

/**
 * The same as lines of JSON: what the log is, then its messages, and `next` behind those of each block.
 * @param maxBytes about: whoever wants more goes on from `next`
 */
export async function* logLines(
  facts: LogFacts,
  ports: BlockPorts,
  {
    after,
    upTo,
    maxBytes,
  }: { readonly after: LogPosition; readonly upTo: LogPosition; readonly maxBytes: number },
): AsyncGenerator<Uint8Array> {
  yield Buffer.from(encodeFacts(facts), 'utf8');
  let bytes = 0;
  for await (const block of logBlocks(ports, after, upTo)) {
    const lines = Buffer.from(encodeBlock(block, facts.lineage), 'utf8');
    yield lines;
    bytes += lines.length;
    if (bytes >= maxBytes) return;
  }
}

function blockOf({ messages, wallMs, next, lostFrom, lostTo }: OwnMessages, upTo: LogPosition): LogBlock {
  const marks: LogMark[] = [];
  for (const [i, { position, topic, qos, retain, properties, payload }] of messages.entries()) {
    if (position > upTo) break;
    const text = properties.length === 0 ? undefined : propertiesText(properties);
    marks.push({
      ...{ sequence: position, timeMs: wallMs[i] ?? 0, topic, qos, retain, bytes: payload.length },
      digest: digestOf(text, payload),
      lineDigest: lineDigestOf(text, payload),
    });
  }
  const lost = lostFrom > 0 && lostFrom <= upTo ? ([lostFrom, Math.min(lostTo, upTo)] as const) : undefined;
  return { marks, lost, next: Math.min(next, upTo + 1) };
}

const [LINE_FEED, RETURN] = [0x0a, 0x0d];

/** As ndjson-writer.ts writes it. */
function lineDigestOf(properties: string | undefined, payload: Uint8Array): string | undefined {
  if (!payload.includes(LINE_FEED) && !payload.includes(RETURN)) return undefined;
  if (!isJson(payload)) return undefined;
  const bytes = Uint8Array.from(payload, (byte) => (byte === LINE_FEED || byte === RETURN ? 0x20 : byte));
  return digestOf(properties, bytes);
}
