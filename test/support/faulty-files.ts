/**
 * A file system in memory that behaves as badly as a real one may: what was not synced is lost in part at a crash (sector by
 * sector, in any order), names that were not synced come and go, space ends in the middle of a write, a sync fails and
 * takes what it should have synced with it, bits flip.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type {
  FilePart,
  FileSystem,
  OpenMode,
  PartVisitor,
  StoreFile,
} from '../../storage/files/file-system.js';
import { readEach } from '../../storage/files/parts.js';
import type { Random } from '../sim/random.js';

const SECTOR_BYTES = 512;

interface Inode {
  /** What reads see. */
  live: Buffer;
  /** What a loss of power leaves for certain. */
  synced: Buffer;
}

export type FileOperation =
  'open' | 'write' | 'sync' | 'read' | 'truncate' | 'syncFolder' | 'rename' | 'remove';

export function ioError(operation: string, path: string): SprawlError {
  return new SprawlError('STORAGE_IO', `cannot ${operation} ${path}: EIO`, { retryable: true });
}

export class FaultyFiles implements FileSystem {
  /** Bytes that all files together may have. */
  quotaBytes = Infinity;
  /** Called before each operation; what it throws is its failure. */
  onOperation: (operation: FileOperation, path: string) => void = () => {};
  /** Called when a write or sync took effect, before its caller learns of it. */
  onEffect: (operation: 'write' | 'sync', path: string) => void = () => {};
  #unreadable: { readonly inode: Inode; readonly from: number; readonly to: number } | undefined;
  syncs = 0;
  readonly #live = new Map<string, Inode>();
  readonly #synced = new Map<string, Inode>();

  /** What all files have now, against the quota. */
  get usedBytes(): number {
    let bytes = 0;
    for (const { live } of this.#live.values()) bytes += live.length;
    return bytes;
  }

  paths(): string[] {
    return [...this.#live.keys()].sort();
  }

  has(path: string): boolean {
    return this.#live.has(path);
  }

  /** The file as reads see it; changing it is a fault of the disk. */
  contents(path: string): Buffer {
    return this.#inode(path).live;
  }

  /** Replaces the file, as if the disk had. */
  overwrite(path: string, bytes: Uint8Array): void {
    const inode: Inode = { live: Buffer.from(bytes), synced: Buffer.from(bytes) };
    this.#live.set(path, inode);
    this.#synced.set(path, inode);
  }

  /** From now on the disk does not give these bytes of the file back. */
  spoil(path: string, from: number, to: number): void {
    this.#unreadable = { inode: this.#inode(path), from, to };
  }

  isUnreadable(inode: Inode, from: number, to: number): boolean {
    const bad = this.#unreadable;
    return bad !== undefined && bad.inode === inode && from < bad.to && to > bad.from;
  }

  leadsTo(path: string, inode: Inode): boolean {
    return this.#live.get(path) === inode;
  }

  delete(path: string): void {
    this.#live.delete(path);
    this.#synced.delete(path);
  }

  /** Everything as it is now, synced: for looking at what a process that was killed left behind. */
  copy(): FaultyFiles {
    const copy = new FaultyFiles();
    for (const [path, { live }] of this.#live) copy.overwrite(path, live);
    return copy;
  }

  /**
   * What a loss of power may leave. @param random chooses what of the rest made it to the disk; without it nothing did.
   */
  crash(random?: Random): FaultyFiles {
    const after = new FaultyFiles();
    const paths = new Set([...this.#live.keys(), ...this.#synced.keys()]);
    for (const path of [...paths].sort()) {
      const live = this.#live.get(path);
      const synced = this.#synced.get(path);
      const inode = live !== synced && random?.chance(0.5) === true ? live : synced;
      if (inode !== undefined)
        after.overwrite(path, random === undefined ? inode.synced : torn(inode, random));
    }
    return after;
  }

  /** A failed sync takes what it should have synced with it [the fsync study, ATC '20]: reads go on to see it until a crash. */
  loseUnsynced(path: string): void {
    const inode = this.#inode(path);
    inode.live = Buffer.from(inode.synced);
  }

  async open(path: string, mode: OpenMode): Promise<StoreFile> {
    this.onOperation('open', path);
    if (mode === 'create') {
      if (this.#live.has(path)) throw ioError('create', path);
      this.#live.set(path, { live: Buffer.alloc(0), synced: Buffer.alloc(0) });
    } else if (!this.#live.has(path)) {
      throw new SprawlError('STORAGE_MISSING', `cannot open ${path}: it is not there`);
    }
    return new FaultyFile(this, path, this.#inode(path));
  }

  async list(folder: string): Promise<string[]> {
    const names = [...this.#live.keys()].filter((path) => path.startsWith(`${folder}/`));
    return names.map((path) => path.slice(folder.length + 1)).sort();
  }

  async makeFolder(): Promise<void> {}

  async syncFolder(folder: string): Promise<void> {
    this.onOperation('syncFolder', folder);
    const isIn = (path: string): boolean => path.startsWith(`${folder}/`);
    for (const path of [...this.#synced.keys()])
      if (isIn(path) && !this.#live.has(path)) this.#synced.delete(path);
    for (const [path, inode] of this.#live) if (isIn(path)) this.#synced.set(path, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    this.onOperation('rename', from);
    const inside = [...this.#live.keys()].filter((path) => path.startsWith(`${from}/`));
    if (inside.length > 0) {
      // A folder.
      for (const path of inside) {
        this.#live.set(to + path.slice(from.length), this.#inode(path));
        this.#live.delete(path);
      }
      return;
    }
    this.#live.set(to, this.#inode(from));
    this.#live.delete(from);
  }

  async remove(path: string): Promise<void> {
    this.onOperation('remove', path);
    this.#live.delete(path);
  }

  async realPath(path: string): Promise<string> {
    return path;
  }

  async freeBytes(): Promise<number> {
    return Math.max(0, this.quotaBytes - this.usedBytes);
  }

  #inode(path: string): Inode {
    const inode = this.#live.get(path);
    if (inode === undefined) throw new Error(`the test names ${path}, which is not there`);
    return inode;
  }
}

/** Each sector that differs is the old or the new one. */
function torn({ live, synced }: Inode, random: Random): Buffer {
  const length = random.chance(0.5)
    ? live.length
    : random.integer(Math.min(live.length, synced.length), live.length);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += SECTOR_BYTES) {
    const source = random.chance(0.6) ? live : synced;
    if (at < source.length) source.copy(bytes, at, at, Math.min(at + SECTOR_BYTES, length));
  }
  // What was synced is there, whatever happened around it.
  const unchanged = commonPrefix(live, synced);
  synced.copy(bytes, 0, 0, Math.min(unchanged, length));
  return bytes;
}

function commonPrefix(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}

class FaultyFile implements StoreFile {
  constructor(
    private readonly files: FaultyFiles,
    private readonly path: string,
    private readonly inode: Inode,
  ) {}

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    this.files.onOperation('write', this.path);
    const { inode } = this;
    const growth = Math.max(0, offset + bytes.length - inode.live.length);
    const room = this.files.quotaBytes - this.files.usedBytes;
    const fits = growth <= room ? bytes.length : Math.max(0, bytes.length - (growth - Math.max(0, room)));
    const end = offset + fits;
    if (end > inode.live.length)
      inode.live = Buffer.concat([inode.live, Buffer.alloc(end - inode.live.length)]);
    inode.live.set(bytes.subarray(0, fits), offset);
    if (fits < bytes.length)
      throw new SprawlError('STORAGE_FULL', `cannot write ${this.path}: ENOSPC`, { retryable: true });
    this.files.onEffect('write', this.path);
  }

  async sync(): Promise<void> {
    this.files.onOperation('sync', this.path);
    this.files.syncs++;
    this.inode.synced = Buffer.from(this.inode.live);
    this.files.onEffect('sync', this.path);
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    this.files.onOperation('read', this.path);
    if (this.files.isUnreadable(this.inode, offset, offset + into.length)) throw ioError('read', this.path);
    const bytes = this.inode.live.subarray(offset, offset + into.length);
    into.set(bytes);
    return bytes.length;
  }

  readParts(parts: readonly FilePart[], visit: PartVisitor): Promise<void> {
    return readEach(this, parts, visit);
  }

  async size(): Promise<number> {
    return this.inode.live.length;
  }

  async hasName(): Promise<boolean> {
    return this.files.leadsTo(this.path, this.inode);
  }

  async truncate(size: number): Promise<void> {
    this.files.onOperation('truncate', this.path);
    this.inode.live = Buffer.from(this.inode.live.subarray(0, size));
  }

  async close(): Promise<void> {}
}
