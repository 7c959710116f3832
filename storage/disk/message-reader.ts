import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import type { LogReader } from '../log/log-reader.js';
import { readMessageRecord } from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';

/** Messages that are closer to each other than this are read with what lies between. */
const GAP_MAX_COUNT = 256;

/** Messages by their positions. */
export class MessageReader {
  readonly #reader: LogReader;

  constructor(reader: LogReader) {
    this.#reader = reader;
  }

  /** @returns in the order of the positions, undefined for each that is damaged or gone. @throws SprawlError STORAGE_IO */
  async read(positions: readonly LogPosition[]): Promise<(Message | undefined)[]> {
    const found = new Map<LogPosition, Message | undefined>();
    const wanted = [...new Set(positions)].filter((position) => position > 0).sort((a, b) => a - b);
    for (const position of wanted) found.set(position, undefined);
    for (let i = 0; i < wanted.length;) {
      const from = wanted[i] as LogPosition;
      let to = from;
      for (i++; i < wanted.length && (wanted[i] as LogPosition) - to <= GAP_MAX_COUNT; i++)
        to = wanted[i] as LogPosition;
      await this.#readRange(from, to, found);
    }
    return positions.map((position) => found.get(position));
  }

  async #readRange(
    from: LogPosition,
    to: LogPosition,
    found: Map<LogPosition, Message | undefined>,
  ): Promise<void> {
    for (let at = from; at <= to;) {
      const { next } = await this.#reader.read(at, to, (position, type, bytes, start, end) => {
        if (!found.has(position) || (type !== RecordType.message && type !== RecordType.retained)) return;
        const { message } = readMessageRecord(bytes, start, end);
        message.position = position;
        found.set(position, message);
      });
      if (next <= at) return;
      at = next;
    }
  }
}
