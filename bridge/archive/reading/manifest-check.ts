/**
 * A manifest, read without belief: every entry and every page, the numbers, the hashes and the succession, going on behind a fault.
 * Manifest.read ends at the first one.
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { entryKey, PAGE_ENTRIES, pageKey } from '../manifest.js';
import {
  decodeEntry,
  EMPTY_TIP,
  type ManifestEntry,
  ManifestFault,
  type ManifestTip,
  successionFault,
  tipOf,
} from '../manifest-entry.js';
import type { ObjectStat, ObjectStore } from '../object-store.js';
import { entriesPrefix } from './catalog.js';
import { missingText } from './checked-object.js';

export interface ManifestFinding {
  /** Of an entry, a page, or something else below the manifest. */
  readonly key: string;
  readonly text: string;
  readonly isFault: boolean;
}

const LINE_END = 0x0a;
const NUMBER = /\/(?:entries|pages)\/(\d{12})\.jsonl?$/;

/** Entries `first` to `last`, as far as they are there, all of one page or of what may become one. */
interface Window {
  readonly first: number;
  readonly last: number;
  readonly stats: ReadonlyMap<number, ObjectStat>;
}

const pageOf = (number: number): number => number - ((number - 1) % PAGE_ENTRIES);

/**
 * @param isDeep whether each entry of a page is read, too; else its length is compared
 * @returns entries that are what was written, in order, also behind ones that are not @throws ObjectFault
 */
export async function* checkedEntries(
  store: ObjectStore,
  origin: GatewayId,
  isDeep: boolean,
  onFinding: (finding: ManifestFinding) => void,
): AsyncGenerator<ManifestEntry> {
  const check = new ManifestCheck(store, origin, isDeep, onFinding);
  for await (const window of check.windows()) yield* check.entriesOf(window);
}

class ManifestCheck {
  readonly #store: ObjectStore;
  readonly #origin: GatewayId;
  readonly #isDeep: boolean;
  readonly #onFinding: (finding: ManifestFinding) => void;
  /** undefined: what came before is not known. */
  #tip: ManifestTip | undefined = EMPTY_TIP;

  constructor(
    store: ObjectStore,
    origin: GatewayId,
    isDeep: boolean,
    onFinding: (finding: ManifestFinding) => void,
  ) {
    this.#store = store;
    this.#origin = origin;
    this.#isDeep = isDeep;
    this.#onFinding = onFinding;
  }

  async *windows(): AsyncGenerator<Window> {
    const pages = await this.#pageNumbers();
    /** Behind what was yielded or told. */
    let first = 1;
    let stats = new Map<number, ObjectStat>();
    let last = 0;
    const window = (): Window => {
      const end = pages.has(pageOf(last)) ? pageOf(last) + PAGE_ENTRIES - 1 : last;
      const found = { first, last: end, stats };
      first = end + 1;
      stats = new Map();
      return found;
    };
    for await (const stat of this.#store.list(entriesPrefix(this.#origin))) {
      const number = numberOf(stat.key);
      if (number === undefined) {
        this.#onFinding({ key: stat.key, text: 'is no entry of a manifest', isFault: false });
        continue;
      }
      if (stats.size > 0 && pageOf(number) !== pageOf(last)) yield window();
      if (stats.size === 0) first = yield* this.#upTo(first, number, pages);
      stats.set(number, stat);
      last = number;
    }
    if (stats.size > 0) yield window();
    yield* this.#upTo(first, Math.max(first, ...[...pages].map((page) => page + PAGE_ENTRIES)), pages);
  }

  /**
   * What comes before the entry `number`, where from `first` on there are none but in pages. A number that is far too large may not take a
   * finding for each that is not there.
   * @returns where the window of `number` begins
   */
  async *#upTo(first: number, number: number, pages: ReadonlySet<number>): AsyncGenerator<Window, number> {
    let from = first;
    for (const page of pages) {
      if (page < from || page >= pageOf(number)) continue;
      await this.#tellGap(from, page - 1);
      yield { first: page, last: page + PAGE_ENTRIES - 1, stats: new Map() };
      from = page + PAGE_ENTRIES;
    }
    const begin = pages.has(pageOf(number)) ? pageOf(number) : number;
    await this.#tellGap(from, begin - 1);
    return Math.max(from, begin);
  }

  async #tellGap(first: number, last: number): Promise<void> {
    if (first > last) return;
    const key = entryKey(this.#origin, first);
    const more = first === last ? '' : `; and all up to entry ${last} are missing, too`;
    this.#onFinding({ key, text: (await missingText(this.#store, key)) + more, isFault: true });
    this.#tip = undefined;
  }

  async *entriesOf({ first, last, stats }: Window): AsyncGenerator<ManifestEntry> {
    const lines = await this.#linesOf(pageOf(first));
    for (let number = first; number <= last; number++) {
      const bytes = await this.#bytesOf(number, stats.get(number), lines?.[number - pageOf(first)]);
      const entry = bytes === undefined ? undefined : this.#entryOf(number, bytes);
      if (entry !== undefined) yield entry;
    }
  }

  /** The bytes of an entry, from where it is; what is wrong with a copy is told. */
  async #bytesOf(
    number: number,
    stat: ObjectStat | undefined,
    line: Uint8Array | undefined,
  ): Promise<Uint8Array | undefined> {
    const key = entryKey(this.#origin, number);
    const fault = (text: string): void => this.#onFinding({ key, text, isFault: true });
    if (stat === undefined) {
      const text = await missingText(this.#store, key);
      fault(line === undefined ? text : `${text}; its page has it`);
      if (line === undefined) this.#tip = undefined;
      return line;
    }
    if (line !== undefined && !this.#isDeep) {
      if (stat.length !== line.length)
        fault(`has ${stat.length} bytes, and ${line.length} in the page that has it`);
      return line;
    }
    const bytes = await this.#store.read(key);
    if (bytes === undefined) fault('is gone while it is read');
    else if (line !== undefined && !Buffer.from(bytes).equals(line))
      fault('is not the same in the page that has it');
    return bytes ?? line;
  }

  #entryOf(number: number, bytes: Uint8Array): ManifestEntry | undefined {
    const key = entryKey(this.#origin, number);
    try {
      const entry = decodeEntry(this.#origin, number, bytes);
      const text = this.#tip === undefined ? undefined : successionFault(this.#tip, entry);
      if (text !== undefined) this.#onFinding({ key, text, isFault: true });
      this.#tip = tipOf(entry, bytes);
      return entry;
    } catch (error) {
      if (!(error instanceof ManifestFault)) throw error;
      this.#onFinding({ key, text: error.message, isFault: true });
      this.#tip = undefined;
      return undefined;
    }
  }

  async #pageNumbers(): Promise<ReadonlySet<number>> {
    const numbers = new Set<number>();
    for await (const { key } of this.#store.list(`manifest/${this.#origin}/pages/`)) {
      const number = numberOf(key);
      if (number !== undefined && number % PAGE_ENTRIES === 1) numbers.add(number);
      else this.#onFinding({ key, text: 'is no page of a manifest', isFault: false });
    }
    return numbers;
  }

  async #linesOf(first: number): Promise<readonly Uint8Array[] | undefined> {
    const key = pageKey(this.#origin, first);
    const bytes = await this.#store.read(key);
    if (bytes === undefined) return undefined;
    const lines: Uint8Array[] = [];
    for (let start = 0; start < bytes.length;) {
      const end = bytes.indexOf(LINE_END, start) + 1 || bytes.length;
      lines.push(bytes.subarray(start, end));
      start = end;
    }
    if (lines.length !== PAGE_ENTRIES)
      this.#onFinding({
        key,
        text: `has ${lines.length} entries and not ${PAGE_ENTRIES}: whoever reads the manifest stops at it`,
        isFault: true,
      });
    return lines;
  }
}

function numberOf(key: string): number | undefined {
  const digits = NUMBER.exec(key)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
