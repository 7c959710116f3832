import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import type { LogReader } from '../log/log-reader.js';
import { readMessageRecord } from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';
import { TextCache } from '../records/text-cache.js';

/** Topics and publishers of what is read at once; nothing of it stays in memory afterwards. */
const TEXTS_MAX_COUNT = 64;

/** Messages by their positions. */
export class MessageReader {
  readonly #reader: LogReader;

  constructor(reader: LogReader) {
    this.#reader = reader;
  }

  /** @returns in the order of the positions, undefined for each that is damaged or gone. @throws SprawlError STORAGE_IO */
  async read(positions: readonly LogPosition[]): Promise<(Message | undefined)[]> {
    const found = new Map<LogPosition, Message>();
    const texts = new TextCache(TEXTS_MAX_COUNT);
    const wanted = [...new Set(positions)].filter((position) => position > 0).sort((a, b) => a - b);
    await this.#reader.pick(wanted, (position, type, bytes, start, end) => {
      if (type !== RecordType.message && type !== RecordType.retained) return;
      const { message } = readMessageRecord(bytes, start, end, texts);
      message.position = position;
      found.set(position, message);
    });
    return positions.map((position) => found.get(position));
  }
}
