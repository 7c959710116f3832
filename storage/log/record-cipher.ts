import type { LogPosition } from '../../lib/contracts/store.js';

/** Seals the records of a commit, group by group. The bytes that it is given are whole records, positions `first` to `last`. */
export interface RecordCipher {
  sealRecords(records: Uint8Array, first: LogPosition, last: LogPosition): Uint8Array;
  /** @throws SprawlError STORAGE_CORRUPT, STORAGE_KEY_WRONG */
  openRecords(sealed: Uint8Array, first: LogPosition, last: LogPosition): Uint8Array;
}
