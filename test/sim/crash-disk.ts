/**
 * The disk of a machine whose gateway is killed and whose power is lost: files and databases outlive each process. A process sees them
 * through a view of its own, in which everything takes time and happens in the middle of it, and which is dead when the process is.
 */
import type {
  FilePart,
  FileSystem,
  OpenMode,
  PartVisitor,
  StoreFile,
} from '../../storage/files/file-system.js';
import { readEach } from '../../storage/files/parts.js';
import type { KeyValueStore } from '../../storage/state/key-value-store.js';
import { FaultyFiles, ioError } from '../support/faulty-files.js';
import { MemoryKeyValue } from '../support/memory-key-value.js';
import type { Random } from './random.js';
import type { Steps } from './scheduler.js';

export interface DiskDelays {
  readonly writeMaxMs: number;
  readonly syncMaxMs: number;
  readonly readMaxMs: number;
}

export type DatabaseOperation = 'open' | 'read' | 'write';

/** What somebody who watches the disk sees; it may throw what an operation fails with. */
export interface DiskWatcher {
  /** Something was asked for, and takes effect later. */
  begins(what: string, path: string): void;
  /** Something takes effect now; whoever asked for it does not know yet. */
  effect(what: string, path: string): void;
  /** @returns when a write of a database fails: before it happened, or after. */
  databaseFault(operation: DatabaseOperation, folder: string): 'before' | 'after' | undefined;
  databaseWrote(folder: string, changes: ReadonlyMap<string, Uint8Array | null>): void;
  databaseRead(folder: string, key: string): void;
}

export class Disk {
  files = new FaultyFiles();
  readonly databases = new Map<string, MemoryKeyValue>();
  /** Folders of databases whose removal has begun. */
  readonly removing = new Set<string>();
  /** What was asked for and has no answer, by kind and path. */
  readonly underWay = new Map<string, number>();

  database(folder: string): MemoryKeyValue {
    let database = this.databases.get(folder);
    if (database === undefined) {
      database = new MemoryKeyValue();
      this.databases.set(folder, database);
    }
    return database;
  }

  /** Every process is gone. @param power also what was not synced, in part. */
  crash(power: boolean, random: Random): void {
    const { quotaBytes } = this.files;
    if (power) this.files = this.files.crash(random);
    this.files.quotaBytes = quotaBytes;
    this.underWay.clear();
    for (const folder of this.removing) partlyRemoved(this.database(folder), random);
    this.removing.clear();
  }

  isUnderWay(what: string, pathPart: string): boolean {
    return [...this.underWay.keys()].some((key) => key.startsWith(`${what} `) && key.includes(pathPart));
  }

  /** A bit changes, a key vanishes, or all of it. @returns what happened; undefined: there was nothing to damage. */
  damageDatabase(folder: string, random: Random): string | undefined {
    const database = this.database(folder);
    const keys = [...database.values.keys()].sort();
    const [first, ...rest] = keys;
    if (first === undefined) return undefined;
    const key = random.pick([first, ...rest]);
    const value = database.values.get(key) ?? Buffer.alloc(0);
    const how = random.pick(['destroyed', 'changed', 'changed', 'vanished'] as const);
    if (how === 'destroyed') {
      database.values.clear();
      database.exists = false;
      return how;
    }
    if (how === 'changed') flipBit(value, random);
    else database.values.delete(key);
    return `${how}: ${key}`;
  }

  /** A bit of the file changes. */
  damageFile(path: string, random: Random): void {
    const bytes = Buffer.from(this.files.contents(path));
    flipBit(bytes, random);
    this.files.overwrite(path, bytes);
  }
}

function flipBit(bytes: Uint8Array, random: Random): void {
  const at = random.integer(0, bytes.length - 1);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 7));
}

function partlyRemoved(database: MemoryKeyValue, random: Random): void {
  if (random.chance(0.3)) {
    database.values.clear();
    database.exists = false;
    return;
  }
  for (const key of [...database.values.keys()].sort()) if (random.chance(0.5)) database.values.delete(key);
}

/** What one process sees of the disk. `steps` end with the process. */
export class DiskView {
  readonly files: FileSystem;
  readonly #disk: Disk;
  readonly #steps: Steps;
  readonly #random: Random;
  readonly #delays: DiskDelays;
  readonly #watcher: DiskWatcher;

  constructor(disk: Disk, steps: Steps, random: Random, delays: DiskDelays, watcher: DiskWatcher) {
    this.#disk = disk;
    this.#steps = steps;
    this.#random = random;
    this.#delays = delays;
    this.#watcher = watcher;
    this.files = new SlowFiles(disk.files, this);
  }

  openDatabase(folder: string): KeyValueStore {
    return new SlowDatabase(this.#disk, folder, this, this.#watcher);
  }

  chance(probability: number): boolean {
    return this.#random.chance(probability);
  }

  cut(length: number): number {
    return this.#random.integer(0, length);
  }

  /** It takes effect after a while, and whoever asked hears of it after another. */
  async slowly<T>(what: string, path: string, operate: () => Promise<T>): Promise<T> {
    const { writeMaxMs, syncMaxMs, readMaxMs } = this.#delays;
    const maxMs = what === 'sync' ? syncMaxMs : what === 'read' ? readMaxMs : writeMaxMs;
    const key = `${what} ${path}`;
    const { underWay } = this.#disk;
    underWay.set(key, (underWay.get(key) ?? 0) + 1);
    this.#watcher.begins(what, path);
    await this.#wait(this.#random.delay(maxMs), what);
    try {
      const result = await operate();
      this.#watcher.effect(what, path);
      return result;
    } finally {
      await this.#wait(this.#random.delay(maxMs) * 0.2, `${what} done`);
      const left = (underWay.get(key) ?? 1) - 1;
      if (left === 0) underWay.delete(key);
      else underWay.set(key, left);
    }
  }

  #wait(delayMs: number, label: string): Promise<void> {
    return new Promise((resolve) => {
      this.#steps.after(delayMs, label, () => {
        resolve();
        this.#steps.settle();
      });
    });
  }
}

class SlowFiles implements FileSystem {
  constructor(
    private readonly files: FaultyFiles,
    private readonly view: DiskView,
  ) {}

  async open(path: string, mode: OpenMode): Promise<StoreFile> {
    const file = await this.view.slowly('open', path, () => this.files.open(path, mode));
    return new SlowFile(file, path, this.view);
  }

  list(folder: string): Promise<string[]> {
    return this.files.list(folder);
  }

  makeFolder(): Promise<void> {
    return this.files.makeFolder();
  }

  syncFolder(folder: string): Promise<void> {
    return this.view.slowly('sync', folder, () => this.files.syncFolder(folder));
  }

  rename(from: string, to: string): Promise<void> {
    return this.view.slowly('rename', to, () => this.files.rename(from, to));
  }

  remove(path: string): Promise<void> {
    // The names of new files are made free first.
    const what = this.files.has(path) ? 'remove' : 'look';
    return this.view.slowly(what, path, () => this.files.remove(path));
  }

  realPath(path: string): Promise<string> {
    return this.files.realPath(path);
  }

  freeBytes(): Promise<number> {
    return this.files.freeBytes();
  }
}

class SlowFile implements StoreFile {
  constructor(
    private readonly file: StoreFile,
    private readonly path: string,
    private readonly view: DiskView,
  ) {}

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    // In two parts, with the end of the process or of the power between them.
    const cut = this.view.chance(0.3) ? this.view.cut(bytes.length) : 0;
    if (cut > 0)
      await this.view.slowly('write', this.path, () => this.file.write(bytes.subarray(0, cut), offset));
    await this.view.slowly('write', this.path, () => this.file.write(bytes.subarray(cut), offset + cut));
  }

  sync(): Promise<void> {
    return this.view.slowly('sync', this.path, () => this.file.sync());
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.view.slowly('read', this.path, () => this.file.read(into, offset));
  }

  readParts(parts: readonly FilePart[], visit: PartVisitor): Promise<void> {
    return readEach(this, parts, visit);
  }

  hasName(): Promise<boolean> {
    return this.file.hasName();
  }

  size(): Promise<number> {
    return this.file.size();
  }

  truncate(size: number): Promise<void> {
    return this.view.slowly('truncate', this.path, () => this.file.truncate(size));
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** Batches are there or not, and there for good once somebody was told so. */
class SlowDatabase implements KeyValueStore {
  readonly #database: MemoryKeyValue;

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
    private readonly view: DiskView,
    private readonly watcher: DiskWatcher,
  ) {
    this.#database = disk.database(folder);
  }

  open(create: boolean): Promise<void> {
    return this.#attempt('open', () => this.#database.open(create));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const value = await this.#attempt('read', () => this.#database.get(key));
    this.watcher.databaseRead(this.folder, key);
    return value;
  }

  async write(changes: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    await this.#attempt('write', () => this.#database.write(changes));
    this.watcher.databaseWrote(this.folder, changes);
  }

  entries(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#database.entries(from, to);
  }

  async removeRange(from: string, to: string): Promise<void> {
    await this.#attempt('write', () => this.#database.removeRange(from, to));
  }

  async destroy(): Promise<void> {
    this.disk.removing.add(this.folder);
    await this.view.slowly('remove', this.folder, () => this.#database.destroy());
    this.disk.removing.delete(this.folder);
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  #attempt<T>(operation: DatabaseOperation, operate: () => Promise<T>): Promise<T> {
    const fault = this.watcher.databaseFault(operation, this.folder);
    return this.view.slowly(operation, this.folder, async () => {
      if (fault === 'before') throw ioError(operation, this.folder);
      const result = await operate();
      if (fault === 'after') throw ioError(operation, this.folder);
      return result;
    });
  }
}
