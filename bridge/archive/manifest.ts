/**
 * The manifest of one origin in an object store: an entry is an object of its own, created once under its number.
 *
 *     manifest/<origin>/entries/000000000001.json …     manifest/<origin>/pages/000000000001.jsonl: entries 1 to 256
 *
 * To write the next one is to create its number: whoever comes second reads what came first and goes on from there. No entry is changed
 * or removed. A page has the same bytes once more, so that who reads all of them asks once for each 256.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import {
  decodeEntry,
  EMPTY_TIP,
  encodeEntry,
  hashOf,
  type KnownEntry,
  type ManifestEntry,
  ManifestFault,
  type ManifestTip,
  successionFault,
  tipOf,
} from './manifest-entry.js';
import { bodyOf, type ObjectStore } from './object-store.js';

export const PAGE_ENTRIES = 256;
const DIGITS = 12;
const LINE_END = 0x0a;

/** An entry that has no place in the manifest yet. */
export type ManifestDraft = Omit<ManifestEntry, 'origin' | 'number' | 'previous'>;

export class Manifest {
  readonly origin: GatewayId;
  readonly #store: ObjectStore;
  #tip: ManifestTip;

  /** @param tip as far as it is known already */
  constructor(store: ObjectStore, origin: GatewayId, tip: ManifestTip = EMPTY_TIP) {
    this.#store = store;
    this.origin = origin;
    this.#tip = tip;
  }

  /** As far as was read or written. */
  get tip(): ManifestTip {
    return this.#tip;
  }

  /**
   * Writes the next entry. After a fault nobody knows whether it is there: the same draft again says so.
   * @returns false: somebody else has written that number; `tip` is behind it now, and the draft may be of what is archived already
   * @throws ObjectFault, ManifestFault (what was read; or a draft that cannot stand there)
   */
  async append(draft: ManifestDraft): Promise<boolean> {
    const { origin } = this;
    const { number: last, hash: previous } = this.#tip;
    const number = last + 1;
    const entry = { ...draft, origin, number, previous };
    const fault = successionFault(this.#tip, entry);
    if (fault !== undefined) throw new ManifestFault(origin, number, fault);
    const bytes = encodeEntry(entry);
    await this.#store.create(entryKey(origin, number), bodyOf(bytes));
    // What is there counts, and not what the store, or something on the way to it, has answered: it may have told two that they came first.
    const found = await this.#store.read(entryKey(origin, number));
    if (found === undefined) throw new ManifestFault(origin, number, 'was there, and is gone');
    this.#take(number, found);
    return Buffer.from(found).equals(bytes);
  }

  /** Entries behind `tip`, which moves on with each. @throws ObjectFault, ManifestFault */
  async *read(): AsyncGenerator<ManifestEntry> {
    const { origin } = this;
    for (;;) {
      const number = this.#tip.number + 1;
      const page =
        (number - 1) % PAGE_ENTRIES === 0 ? await this.#store.read(pageKey(origin, number)) : undefined;
      if (page !== undefined) {
        const lines = linesOf(page);
        if (lines.length !== PAGE_ENTRIES)
          throw new ManifestFault(
            origin,
            number,
            `begins a page of ${lines.length} entries and not ${PAGE_ENTRIES}`,
          );
        for (const [i, line] of lines.entries()) yield this.#take(number + i, line);
        continue;
      }
      const bytes = await this.#store.read(entryKey(origin, number));
      if (bytes === undefined) return;
      yield this.#take(number, bytes);
    }
  }

  /**
   * Makes the page that ends with entry `last`, a multiple of PAGE_ENTRIES. Anybody may, at any time: its bytes are always the same.
   * @throws ObjectFault, ManifestFault
   */
  async writePage(last: number): Promise<void> {
    const { origin } = this;
    const first = last - PAGE_ENTRIES + 1;
    if (first < 1 || last % PAGE_ENTRIES !== 0) throw new RangeError(`no page ends with entry ${last}`);
    if ((await this.#store.stat(pageKey(origin, first))) !== undefined) return;
    const entries: Uint8Array[] = [];
    for (let number = first; number <= last; number++) {
      const bytes = await this.#store.read(entryKey(origin, number));
      if (bytes === undefined) throw new ManifestFault(origin, number, 'is missing');
      decodeEntry(origin, number, bytes);
      entries.push(bytes);
    }
    await this.#store.create(pageKey(origin, first), bodyOf(Buffer.concat(entries)));
  }

  /**
   * Whether an entry that somebody remembers is in it.
   * @param why what that means where it is not @throws ObjectFault; ManifestFault where it is not: this is another archive
   */
  async expect(
    { number, hash }: KnownEntry,
    why = 'archive.target here is another archive than its own',
  ): Promise<void> {
    const bytes = await this.#store.read(entryKey(this.origin, number));
    if (bytes !== undefined && hashOf(bytes) === hash) return;
    const found =
      bytes === undefined ? 'is missing here, and it had written it' : 'is not the one that it had written';
    throw new ManifestFault(this.origin, number, `${found}: ${why}`);
  }

  #take(number: number, bytes: Uint8Array): ManifestEntry {
    const entry = decodeEntry(this.origin, number, bytes);
    const fault = successionFault(this.#tip, entry);
    if (fault !== undefined) throw new ManifestFault(this.origin, number, fault);
    this.#tip = tipOf(entry, bytes);
    return entry;
  }
}

export function entryKey(origin: GatewayId, number: number): string {
  return `manifest/${origin}/entries/${String(number).padStart(DIGITS, '0')}.json`;
}

export function pageKey(origin: GatewayId, first: number): string {
  return `manifest/${origin}/pages/${String(first).padStart(DIGITS, '0')}.jsonl`;
}

/** Each with its end. */
function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, start)) {
    lines.push(bytes.subarray(start, end + 1));
    start = end + 1;
  }
  if (start < bytes.length) lines.push(bytes.subarray(start));
  return lines;
}
