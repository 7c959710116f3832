/**
 * The first bytes of a segment file, numbers least significant byte first:
 *
 *     0   8 bytes   magic
 *     8   u16       format version
 *    10   u16       reserved
 *    12   u32       reserved
 *    16   u48       position of the first record
 *    22   u16       reserved
 *    24   16 bytes  identity of the log: segments of another gateway are told apart
 *    40   u32       chain: CRC-32C over the CRCs of all records of the log before this segment
 *    44   u48       oldest position that was still wanted when the segment began
 *    50   10 bytes  reserved
 *    60   u32       CRC-32C of bytes 0 to 59
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import { crc32c } from './crc32c.js';
import { readU32, readU48, writeU32, writeU48 } from './record.js';

export const SEGMENT_HEADER_BYTES = 64;
export const LOG_FORMAT_VERSION = 1;
export const LOG_IDENTITY_BYTES = 16;
/** Of a file that takes the name of the segment when it is finished. */
export const UNFINISHED_SUFFIX = '.new';
const MAGIC = Buffer.from('SPRLOG\r\n', 'latin1');
const FILE_NAME = /^(\d{16})\.log$/;

export interface SegmentHeader {
  readonly first: LogPosition;
  readonly identity: Uint8Array;
  readonly chainBefore: number;
  readonly floor: LogPosition;
}

export function segmentFileName(first: LogPosition): string {
  return `${String(first).padStart(16, '0')}.log`;
}

/** @returns the position of the first record, by the name; undefined where it is no segment. */
export function parseSegmentFileName(name: string): LogPosition | undefined {
  const digits = FILE_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.set(MAGIC, 0);
  bytes.writeUInt16LE(LOG_FORMAT_VERSION, 8);
  writeU48(bytes, 16, header.first);
  bytes.set(header.identity, 24);
  writeU32(bytes, 40, header.chainBefore);
  writeU48(bytes, 44, header.floor);
  writeU32(bytes, 60, crc32c(bytes, 0, 60));
  return bytes;
}

/**
 * @returns undefined where the bytes are no whole header (cut short, or damaged).
 * @throws SprawlError STORAGE_FORMAT_NEWER for one that a newer version wrote.
 */
export function parseSegmentHeader(bytes: Uint8Array, path: string): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || !MAGIC.equals(bytes.subarray(0, MAGIC.length))) return undefined;
  if (crc32c(bytes, 0, 60) !== readU32(bytes, 60)) return undefined;
  const version = (bytes[8] as number) | ((bytes[9] as number) << 8);
  if (version > LOG_FORMAT_VERSION) {
    throw new SprawlError(
      'STORAGE_FORMAT_NEWER',
      `${path} has format ${version}, this version reads up to ${LOG_FORMAT_VERSION}; start the version that wrote it, or restore a backup`,
      { details: { path, version, supported: LOG_FORMAT_VERSION } },
    );
  }
  return {
    first: readU48(bytes, 16),
    identity: bytes.slice(24, 24 + LOG_IDENTITY_BYTES),
    chainBefore: readU32(bytes, 40),
    floor: readU48(bytes, 44),
  };
}
