/**
 * What storage needs of a file system. It is passed in, so that the simulation can lose what was not synced, run out of space
 * in the middle of a write, or flip a bit. Paths are separated by `/`.
 */

export interface FilePart {
  readonly offset: number;
  readonly length: number;
}

/**
 * `bytes[start, end)` is what was read of the part with this index: less than was asked for only at the end of the file. The bytes are
 * lent until it returns: a buffer for each look-up would soon be garbage, and collecting it takes longer than reading.
 */
export type PartVisitor = (index: number, bytes: Uint8Array, start: number, end: number) => void;

export interface StoreFile {
  /** Writes all of `bytes` at `offset`, which may be beyond the end. @throws SprawlError STORAGE_FULL, STORAGE_IO, STORAGE_READ_ONLY */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Everything written so far, and the size, survive a loss of power once this resolved. @throws SprawlError as `write` */
  sync(): Promise<void>;
  /** @returns how many bytes were read: fewer than `into` holds only at the end of the file. @throws SprawlError STORAGE_IO */
  read(into: Uint8Array, offset: number): Promise<number>;
  /**
   * Many parts at the price of few reads, visited in any order. @throws SprawlError STORAGE_IO where one of them cannot be read,
   * whether or not others were visited
   */
  readParts(parts: readonly FilePart[], visit: PartVisitor): Promise<void>;
  size(): Promise<number>;
  /**
   * Whether its path still leads to it: what was removed or moved away takes writes and syncs as before, and nobody finds them. Where that cannot be
   * told at the moment it does. Never rejects.
   */
  hasName(): Promise<boolean>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

/** `create`: read and write, the file may not exist yet. `write`: read and write one that exists. */
export type OpenMode = 'create' | 'write' | 'read';

export interface FileSystem {
  /** @throws SprawlError STORAGE_FULL, STORAGE_IO, STORAGE_READ_ONLY, STORAGE_MISSING */
  open(path: string, mode: OpenMode): Promise<StoreFile>;
  /** Names of the files and folders in `folder`, sorted; none where the folder does not exist. */
  list(folder: string): Promise<string[]>;
  /** With all folders above it, and for good; one that exists is left as it is. */
  makeFolder(folder: string): Promise<void>;
  /** Names created, renamed and removed in `folder` survive a loss of power once this resolved. */
  syncFolder(folder: string): Promise<void>;
  /** Replaces `to` where it exists. */
  rename(from: string, to: string): Promise<void>;
  /** One that does not exist is no error. */
  remove(path: string): Promise<void>;
  /** The path without links, as far as it is there. Never rejects. */
  realPath(path: string): Promise<string>;
  /** What an unprivileged process may still write where `folder` is. */
  freeBytes(folder: string): Promise<number>;
}
