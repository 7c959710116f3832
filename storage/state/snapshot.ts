/**
 * A copy of the whole state in one file, from which the database is made again when it is in doubt. Numbers least significant byte first:
 *
 *     0   8 bytes   magic
 *     8   u16       format version
 *     10  u48       position of the log that the state is of
 *     16  16 bytes  identity of the log
 *     32            entries: u32 length of the key, u32 length of the value, key in UTF-8, value
 *     at the end    u32 0xffffffff, u48 number of entries, u32 CRC-32C of everything before it
 *
 * A snapshot has its name only once it is whole and synced. It is checked to its end before anything of it is used.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem, StoreFile } from '../files/file-system.js';
import { crc32c } from '../log/crc32c.js';
import { readU32, readU48, writeU32, writeU48 } from '../log/record.js';

export const SNAPSHOT_FORMAT_VERSION = 1;
const MAGIC = Buffer.from('SPRSNAP\n', 'latin1');
const HEADER_BYTES = 32;
const TRAILER_BYTES = 14;
const END_MARK = 0xffffffff;
const BUFFER_BYTES = 262_144;
const FILE_NAME = /^(\d{16})\.snapshot$/;

export type Entry = readonly [key: string, value: Uint8Array];

export interface SnapshotFile {
  readonly path: string;
  readonly position: LogPosition;
}

/** Newest first; half-written ones are left out. */
export async function listSnapshots(files: FileSystem, folder: string): Promise<SnapshotFile[]> {
  const found: SnapshotFile[] = [];
  for (const name of await files.list(folder)) {
    const digits = FILE_NAME.exec(name)?.[1];
    if (digits !== undefined) found.push({ path: `${folder}/${name}`, position: Number(digits) });
  }
  return found.sort((a, b) => b.position - a.position);
}

/** Whose a snapshot says to be, without a check of the rest. undefined: it is none. @throws SprawlError STORAGE_IO */
export async function snapshotIdentity(
  files: FileSystem,
  { path }: SnapshotFile,
): Promise<Uint8Array | undefined> {
  const file = await files.open(path, 'read');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const length = await file.read(header, 0);
    const isSnapshot = length === HEADER_BYTES && MAGIC.equals(header.subarray(0, MAGIC.length));
    return isSnapshot ? Uint8Array.from(header.subarray(16)) : undefined;
  } finally {
    await file.close();
  }
}

/** @returns the bytes that were written. @throws SprawlError STORAGE_FULL, STORAGE_IO; nothing of it stays then. */
export async function writeSnapshot(
  files: FileSystem,
  folder: string,
  position: LogPosition,
  identity: Uint8Array,
  entries: AsyncIterable<Entry>,
): Promise<number> {
  const path = `${folder}/${String(position).padStart(16, '0')}.snapshot`;
  const unfinished = `${path}.new`;
  await files.makeFolder(folder);
  await files.remove(unfinished);
  const file = await files.open(unfinished, 'create');
  try {
    const writer = new Writer(file);
    const header = Buffer.alloc(HEADER_BYTES);
    header.set(MAGIC, 0);
    header.writeUInt16LE(SNAPSHOT_FORMAT_VERSION, 8);
    writeU48(header, 10, position);
    header.set(identity, 16);
    await writer.put(header);
    let count = 0;
    for await (const [key, value] of entries) {
      const name = Buffer.from(key, 'utf8');
      const lengths = Buffer.alloc(8);
      writeU32(lengths, 0, name.length);
      writeU32(lengths, 4, value.length);
      await writer.put(lengths);
      await writer.put(name);
      await writer.put(value);
      count++;
    }
    const trailer = Buffer.alloc(TRAILER_BYTES);
    writeU32(trailer, 0, END_MARK);
    writeU48(trailer, 4, count);
    await writer.put(trailer.subarray(0, 10));
    writeU32(trailer, 10, writer.crc);
    await writer.put(trailer.subarray(10));
    await writer.flush();
    await file.sync();
    await file.close();
    await files.rename(unfinished, path);
    await files.syncFolder(folder);
    return writer.size;
  } catch (error) {
    await file.close().catch(() => undefined);
    await files.remove(unfinished).catch(() => undefined);
    throw error;
  }
}

/**
 * Shows the entries in their order. The snapshot is read twice: first to check it.
 *
 * @throws SprawlError STORAGE_CORRUPT, STORAGE_FORMAT_NEWER, STORAGE_FOREIGN, STORAGE_IO; `visit` may have been called in the last case only
 */
export async function readSnapshot(
  files: FileSystem,
  { path, position }: SnapshotFile,
  identity: Uint8Array,
  visit: (entry: Entry) => Promise<void> | void,
): Promise<void> {
  const file = await files.open(path, 'read');
  try {
    const size = await file.size();
    await check(file, size, path, position, identity);
    const reader = new Reader(file, HEADER_BYTES, size - TRAILER_BYTES);
    while (!reader.done) {
      const lengths = await reader.take(8);
      const [keyLength, valueLength] = [readU32(lengths, 0), readU32(lengths, 4)];
      const key = Buffer.from(await reader.take(keyLength)).toString('utf8');
      await visit([key, Uint8Array.from(await reader.take(valueLength))]);
    }
  } finally {
    await file.close();
  }
}

async function check(
  file: StoreFile,
  size: number,
  path: string,
  position: LogPosition,
  identity: Uint8Array,
): Promise<void> {
  const damaged = (why: string): SprawlError =>
    new SprawlError('STORAGE_CORRUPT', `the snapshot ${path} is damaged: ${why}`, { details: { path } });
  if (size < HEADER_BYTES + TRAILER_BYTES) throw damaged('it is cut short');
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  let crc = 0;
  for (let at = 0; at < size - 4;) {
    const length = await file.read(buffer.subarray(0, Math.min(BUFFER_BYTES, size - 4 - at)), at);
    if (length === 0) throw damaged('it is cut short');
    crc = crc32c(buffer, 0, length, crc);
    at += length;
  }
  const trailer = Buffer.alloc(TRAILER_BYTES);
  await file.read(trailer, size - TRAILER_BYTES);
  if (readU32(trailer, 10) !== crc || readU32(trailer, 0) !== END_MARK)
    throw damaged('its checksum is wrong');
  const header = Buffer.alloc(HEADER_BYTES);
  await file.read(header, 0);
  if (!MAGIC.equals(header.subarray(0, MAGIC.length))) throw damaged('it is no snapshot');
  const version = header.readUInt16LE(8);
  if (version > SNAPSHOT_FORMAT_VERSION) {
    throw new SprawlError(
      'STORAGE_FORMAT_NEWER',
      `${path} has format ${version}, this version reads up to ${SNAPSHOT_FORMAT_VERSION}; start the version that wrote it, or restore a backup`,
      { details: { path, version, supported: SNAPSHOT_FORMAT_VERSION } },
    );
  }
  if (!header.subarray(16, HEADER_BYTES).equals(identity)) {
    throw new SprawlError(
      'STORAGE_FOREIGN',
      `${path} belongs to another gateway; move it away, or start with the data folder that it came from`,
      { details: { path } },
    );
  }
  if (readU48(header, 10) !== position) throw damaged('its name is of another one');
}

class Writer {
  crc = 0;
  size = 0;
  readonly #file: StoreFile;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #used = 0;

  constructor(file: StoreFile) {
    this.#file = file;
  }

  async put(bytes: Uint8Array): Promise<void> {
    this.crc = crc32c(bytes, 0, bytes.length, this.crc);
    for (let at = 0; at < bytes.length;) {
      const length = Math.min(bytes.length - at, BUFFER_BYTES - this.#used);
      this.#buffer.set(bytes.subarray(at, at + length), this.#used);
      this.#used += length;
      at += length;
      if (this.#used === BUFFER_BYTES) await this.flush();
    }
  }

  async flush(): Promise<void> {
    await this.#file.write(this.#buffer.subarray(0, this.#used), this.size);
    this.size += this.#used;
    this.#used = 0;
  }
}

class Reader {
  readonly #file: StoreFile;
  readonly #end: number;
  #offset: number;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(file: StoreFile, offset: number, end: number) {
    this.#file = file;
    this.#offset = offset;
    this.#end = end;
  }

  get done(): boolean {
    return this.#bytes.length === 0 && this.#offset >= this.#end;
  }

  /** Valid until the next call. */
  async take(length: number): Promise<Uint8Array> {
    if (this.#bytes.length < length) {
      const want = Math.min(Math.max(BUFFER_BYTES, length), this.#end - this.#offset);
      const next = Buffer.allocUnsafe(want);
      const got = await this.#file.read(next, this.#offset);
      this.#offset += got;
      this.#bytes = Buffer.concat([this.#bytes, next.subarray(0, got)]);
    }
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }
}
