/** What is kept here for other gateways, in the order in which it came. */
import type { KeptPart, KeptParts, LogPosition } from '../../lib/contracts/store.js';
import type { Log } from '../log/log.js';
import { RecordType } from '../records/record-type.js';
import { decodeNote } from './mesh-state.js';

/** A log may hold little of it: the reader is told how far it has come. */
const POSITIONS_MAX_COUNT = 65_536;
/** Of the log that is looked through at once: what is beyond the last that is given back is looked through again. */
const LOOKED_AT_BYTES = 131_072;

/** Some of it from a position on, as far as it is committed. @throws SprawlError STORAGE_IO */
export async function readKept(
  { reader, committed }: Log,
  from: LogPosition,
  maxBytes: number,
): Promise<KeptParts> {
  const parts: KeptPart[] = [];
  let bytesRead = 0;
  let at = Math.max(from, reader.first);
  const last = Math.min(committed, at + POSITIONS_MAX_COUNT - 1);
  while (at <= last && bytesRead < maxBytes) {
    let stoppedAt = 0;
    const { next } = await reader.read(
      at,
      last,
      (position, type, bytes, start, end) => {
        if (type !== RecordType.kept || stoppedAt !== 0) return;
        // At least one, however large it is.
        if (parts.length > 0 && bytesRead + end - start > maxBytes) {
          stoppedAt = position;
          return;
        }
        bytesRead += end - start;
        const { name, value } = decodeNote(bytes, start, end);
        parts.push({ position, name, bytes: value });
      },
      LOOKED_AT_BYTES,
    );
    if (stoppedAt !== 0) return { parts, next: stoppedAt };
    at = next;
  }
  return { parts, next: at };
}
