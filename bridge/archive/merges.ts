/**
 * The merges of a manifest in an object store: each is an object of its own, created once under its number, as entries are.
 *
 *     manifest/<origin>/merges/000000000001.json …
 *
 * Whoever reads them reads them before the entries: what a merge replaces is there by then.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import {
  decodeMerge,
  encodeMerge,
  MergeFault,
  type MergeRecord,
  mergeSuccessionFault,
  type MergeTip,
  mergeTipOf,
  NO_MERGES,
  withMerge,
} from './merge-record.js';
import { bodyOf, type ObjectStore } from './object-store.js';

const DIGITS = 12;
/** Not what somebody has copied to a folder below. */
const NUMBER = /\/merges\/(\d{12})\.json$/;
/** Requests at the same time. */
const READS_AT_ONCE = 16;

/** A merge that has no place yet. */
export type MergeDraft = Omit<MergeRecord, 'origin' | 'number' | 'previous'>;

export class Merges {
  readonly origin: GatewayId;
  readonly #store: ObjectStore;
  #tip: MergeTip = NO_MERGES;
  #standing: readonly MergeRecord[] = [];
  readonly #onRecord: (record: MergeRecord) => void;

  /** @param onRecord hears of each one, in order, also of those that a later one replaces */
  constructor(
    store: ObjectStore,
    origin: GatewayId,
    onRecord: (record: MergeRecord) => void = () => undefined,
  ) {
    this.#store = store;
    this.origin = origin;
    this.#onRecord = onRecord;
  }

  /** As far as was read or written. */
  get tip(): MergeTip {
    return this.#tip;
  }

  /** Those that count, in order of their entries: no later one replaces them. */
  get standing(): readonly MergeRecord[] {
    return this.#standing;
  }

  /** Takes in what is behind `tip`. @throws ObjectFault, MergeFault */
  async read(): Promise<void> {
    const { origin } = this;
    const after = this.#tip.number === 0 ? '' : mergeKey(origin, this.#tip.number);
    const numbers: number[] = [];
    for await (const { key } of this.#store.list(mergesPrefix(origin), after)) {
      const number = mergeNumberOf(key);
      if (number !== undefined) numbers.push(number);
    }
    for (let at = 0; at < numbers.length; at += READS_AT_ONCE) {
      const some = numbers.slice(at, at + READS_AT_ONCE);
      const found = await Promise.all(some.map((number) => this.#store.read(mergeKey(origin, number))));
      for (const [i, number] of some.entries()) {
        const next = this.#tip.number + 1;
        if (number !== next) throw new MergeFault(origin, next, 'is missing, and there are merges behind it');
        const bytes = found[i];
        if (bytes === undefined) throw new MergeFault(origin, number, 'was there, and is gone');
        this.#take(number, bytes);
      }
    }
  }

  /**
   * Writes the next one.
   * @returns false: somebody else has written that number; nothing was changed, and `read` takes it in
   * @throws ObjectFault: it may be there or not; MergeFault: a draft that cannot stand there
   */
  async append(draft: MergeDraft): Promise<boolean> {
    const { origin } = this;
    const number = this.#tip.number + 1;
    const merge = { ...draft, origin, number, previous: this.#tip.hash };
    const bytes = encodeMerge(merge);
    decodeMerge(origin, number, bytes);
    const fault = mergeSuccessionFault(this.#tip, this.#standing, merge);
    if (fault !== undefined) throw new MergeFault(origin, number, fault);
    if (!(await this.#store.create(mergeKey(origin, number), bodyOf(bytes)))) {
      const found = await this.#store.read(mergeKey(origin, number));
      if (found === undefined || !Buffer.from(found).equals(bytes)) return false;
    }
    this.#take(number, bytes);
    return true;
  }

  #take(number: number, bytes: Uint8Array): void {
    const merge = decodeMerge(this.origin, number, bytes);
    const fault = mergeSuccessionFault(this.#tip, this.#standing, merge);
    if (fault !== undefined) throw new MergeFault(this.origin, number, fault);
    this.#tip = mergeTipOf(merge, bytes);
    this.#standing = withMerge(this.#standing, merge);
    this.#onRecord(merge);
  }
}

export function mergesPrefix(origin: GatewayId): string {
  return `manifest/${origin}/merges/`;
}

export function mergeKey(origin: GatewayId, number: number): string {
  return `${mergesPrefix(origin)}${String(number).padStart(DIGITS, '0')}.json`;
}

/** @returns undefined: it is no key of a merge */
export function mergeNumberOf(key: string): number | undefined {
  const digits = NUMBER.exec(key)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
