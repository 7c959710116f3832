/** What this gateway took in itself, in the order of its log, for those who carry it to others. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { OwnMessages, OwnReadOptions } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import type { LogReader } from '../log/log-reader.js';
import { isOfAnother, viewMessageRecord } from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';
import type { TextCache } from '../records/text-cache.js';

const NO_BYTES = new Uint8Array(0);
/** A log may hold nothing else for long: the reader is told how far it has come. */
const POSITIONS_MAX_COUNT = 65_536;
/** The same of large messages that only passed, for somebody who does not want them. */
const PASSED_OVER_MAX_BYTES = 16_777_216;

/** A log that is open, and what remembers its texts. */
export interface ReadableLog {
  readonly log: { readonly reader: LogReader; readonly committed: LogPosition };
  readonly texts: TextCache;
}

/** Some of them from a position on, as far as they are committed. @throws SprawlError STORAGE_IO */
export async function readOwn(
  { log, texts }: ReadableLog,
  from: LogPosition,
  maxBytes: number,
  { passed = false }: OwnReadOptions = {},
): Promise<OwnMessages> {
  const messages: Message[] = [];
  const times: number[] = [];
  // The messages are views of it: to copy each by itself took longer than all else that is done with it here.
  let kept: Uint8Array = NO_BYTES;
  let keptBytes = 0;
  const { reader, committed } = log;
  let bytesRead = 0;
  let passedOverBytes = 0;
  let at = Math.max(from, reader.first);
  let lostFrom = at > from ? from : 0;
  let lostTo = at > from ? at - 1 : 0;
  const last = Math.min(committed, at + POSITIONS_MAX_COUNT - 1);
  while (at <= last && bytesRead < maxBytes && passedOverBytes < PASSED_OVER_MAX_BYTES) {
    let stoppedAt = 0;
    const { next, damage, skipped } = await reader.read(
      at,
      last,
      (position, type, bytes, start, end) => {
        if (type !== RecordType.message && type !== RecordType.retained) {
          if (type !== RecordType.passed) return;
          if (!passed) {
            passedOverBytes += end - start;
            return;
          }
        }
        if (stoppedAt !== 0 || isOfAnother(bytes, start)) return;
        const size = end - start;
        // At least one, however large it is.
        if (messages.length > 0 && bytesRead + size > maxBytes) {
          stoppedAt = position;
          return;
        }
        if (keptBytes + size > kept.length) {
          // No more than was read: near the end of the log that is little.
          const rest = Math.min(maxBytes - bytesRead, bytes.length - start);
          kept = Buffer.allocUnsafeSlow(Math.max(size, rest));
          keptBytes = 0;
        }
        kept.set(bytes.subarray(start, end), keptBytes);
        const { message, wallMs } = viewMessageRecord(kept, keptBytes, keptBytes + size, texts);
        message.position = position;
        messages.push(message);
        times.push(wallMs);
        keptBytes += size;
        bytesRead += size;
      },
      maxBytes - bytesRead,
    );
    const end = stoppedAt === 0 ? next : stoppedAt;
    // A segment is compacted only where nobody's floor holds it: whoever comes for it all the same was not waited for any longer.
    for (const gaps of [damage, skipped])
      for (const { first, last: lastLost } of gaps) {
        if (first >= end) continue;
        lostFrom = lostFrom === 0 ? first : Math.min(lostFrom, first);
        lostTo = Math.max(lostTo, Math.min(lastLost, end - 1));
      }
    if (stoppedAt !== 0) return { messages, wallMs: times, next: stoppedAt, lostFrom, lostTo };
    at = next;
  }
  return { messages, wallMs: times, next: at, lostFrom, lostTo };
}
