/**
 * A disk as the system calls of a process make it: what reads see, and what a loss of power leaves. A file keeps what it held when
 * an fdatasync that has ended began; a name, also that of a folder, what it stood for when an fsync of its folder began.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Random } from '../../sim/random.js';
import { descriptorOf, lastNumberOf, stringsOf, type SystemCall } from './trace.js';

const SECTOR_BYTES = 512;

class TracedFile {
  live = Buffer.alloc(0);
  synced = Buffer.alloc(0);
  #capacity = Buffer.alloc(0);

  write(bytes: Buffer, offset: number): void {
    const end = Math.max(this.live.length, offset + bytes.length);
    if (end > this.#capacity.length) {
      const grown = Buffer.alloc(Math.max(end, this.#capacity.length * 2));
      this.live.copy(grown);
      this.#capacity = grown;
    }
    this.live = this.#capacity.subarray(0, end);
    bytes.copy(this.live, offset);
  }

  truncate(size: number): void {
    const kept = Buffer.alloc(size);
    this.live.copy(kept, 0, 0, size);
    this.#capacity = kept;
    this.live = kept;
  }
}

/** A name stands for a file, or for a folder. */
type Entry = TracedFile | 'folder';

interface OpenFile {
  readonly path: string;
  readonly entry: Entry;
  position: number;
}

/** A sync that has begun: it covers what was there then. */
type Cover = () => void;

export class TracedDisk {
  readonly #root: string;
  readonly #live = new Map<string, Entry>();
  readonly #durable = new Map<string, Entry>();
  #open = new Map<number, OpenFile>();
  #syncing = new Map<number, Cover>();

  /** @param root what is outside of it is nobody's business; it is there already. */
  constructor(root: string) {
    this.#root = root;
  }

  /** The process is gone; the machine goes on. */
  nextProcess(): void {
    this.#open = new Map();
    this.#syncing = new Map();
  }

  /** Whether the descriptor is a file of this disk. */
  has(descriptor: number): boolean {
    return this.#open.has(descriptor);
  }

  began(call: SystemCall): void {
    if (call.name === 'close') this.#open.delete(descriptorOf(call));
    if (call.name !== 'fdatasync' && call.name !== 'fsync') return;
    const descriptor = descriptorOf(call);
    const open = this.#open.get(descriptor);
    if (open !== undefined) this.#syncing.set(descriptor, this.#coverOf(open));
  }

  ended(call: SystemCall): void {
    if ((call.result ?? -1) < 0) return;
    switch (call.name) {
      case 'openat':
        return this.#opened(call);
      case 'write':
      case 'writev':
      case 'pwrite64':
      case 'pwritev':
        return this.#written(call);
      case 'fdatasync':
      case 'fsync': {
        const descriptor = descriptorOf(call);
        this.#syncing.get(descriptor)?.();
        this.#syncing.delete(descriptor);
        return;
      }
      case 'ftruncate': {
        const entry = this.#open.get(descriptorOf(call))?.entry;
        if (entry instanceof TracedFile) entry.truncate(lastNumberOf(call));
        return;
      }
      case 'rename':
      case 'unlink':
      case 'mkdir':
      case 'rmdir':
        return this.#named(call);
      default:
    }
  }

  #coverOf({ path, entry }: OpenFile): Cover {
    if (entry instanceof TracedFile) {
      const bytes = Buffer.from(entry.live);
      return () => {
        entry.synced = bytes;
      };
    }
    const names = new Map([...this.#live].filter(([name]) => dirname(name) === path));
    return () => {
      for (const name of [...this.#durable.keys()])
        if (dirname(name) === path && !names.has(name)) this.#durable.delete(name);
      for (const [name, there] of names) this.#durable.set(name, there);
    };
  }

  #opened(call: SystemCall): void {
    const path = stringsOf(call)[0]?.toString() ?? '';
    if (!this.#isInside(path) || call.result === undefined) return;
    const { args } = call;
    let entry = this.#live.get(path);
    if (entry === undefined && path === this.#root) entry = 'folder';
    if (entry === undefined) {
      if (!args.includes('O_CREAT')) throw new Error(`${path} was opened and nobody made it`);
      entry = new TracedFile();
      this.#live.set(path, entry);
    } else if (args.includes('O_TRUNC') && entry instanceof TracedFile) {
      entry.truncate(0);
    }
    this.#open.set(call.result, { path, entry, position: 0 });
  }

  #written(call: SystemCall): void {
    const open = this.#open.get(descriptorOf(call));
    if (open === undefined || !(open.entry instanceof TracedFile) || call.result === undefined) return;
    const bytes = Buffer.concat(stringsOf(call)).subarray(0, call.result);
    const isAt = call.name.startsWith('pwrite');
    open.entry.write(bytes, isAt ? lastNumberOf(call) : open.position);
    if (!isAt) open.position += bytes.length;
  }

  #named(call: SystemCall): void {
    const [first = '', second = ''] = stringsOf(call).map(String);
    if (!this.#isInside(first)) return;
    if (call.name === 'mkdir') {
      this.#live.set(first, 'folder');
      return;
    }
    const entry = this.#live.get(first);
    this.#live.delete(first);
    if (call.name === 'rename' && entry !== undefined) this.#live.set(second, entry);
  }

  #isInside(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`);
  }

  /**
   * What a loss of power leaves now, put into `folder`. @param random chooses what of the rest made it to the disk, name by name
   * and sector by sector; without it nothing did.
   */
  putImage(folder: string, random?: Random): void {
    const names = new Map(this.#durable);
    if (random !== undefined) {
      for (const name of new Set([...this.#live.keys(), ...this.#durable.keys()])) {
        const entry = random.chance(0.5) ? this.#live.get(name) : this.#durable.get(name);
        if (entry === undefined) names.delete(name);
        else names.set(name, entry);
      }
    }
    const isThere = (path: string): boolean =>
      path === this.#root || (names.get(path) === 'folder' && isThere(dirname(path)));
    for (const [name, entry] of [...names].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      if (!isThere(dirname(name))) continue;
      const path = join(folder, name.slice(this.#root.length));
      if (entry === 'folder') mkdirSync(path, { recursive: true });
      else writeFileSync(path, random === undefined ? entry.synced : torn(entry, random));
    }
  }
}

/** Each sector that differs is the old or the new one; what was synced and not written again is there. */
function torn({ live, synced }: TracedFile, random: Random): Buffer {
  if (live.equals(synced)) return synced;
  let same = 0;
  while (same < Math.min(live.length, synced.length) && live[same] === synced[same]) same++;
  const length = random.integer(Math.max(same, Math.min(live.length, synced.length)), live.length);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += SECTOR_BYTES) {
    const source = random.chance(0.6) ? live : synced;
    if (at < source.length) source.copy(bytes, at, at, Math.min(at + SECTOR_BYTES, length));
  }
  synced.copy(bytes, 0, 0, Math.min(same, length));
  return bytes;
}
