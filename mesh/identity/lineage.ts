/** What can be told from the lives that a gateway remembers. Pure. */
import { type Epoch, type EpochStart, isSameEpoch, type Lineage } from '../../lib/contracts/epoch.js';

/** Lives that a gateway remembers and tells of. */
export const LINEAGE_MAX_COUNT = 64;
const NONCE = /^[0-9a-f]{16}$/;

export function isEpoch(value: unknown): value is Epoch {
  if (typeof value !== 'object' || value === null) return false;
  const { counter, nonce } = value as Partial<Record<keyof Epoch, unknown>>;
  return Number.isSafeInteger(counter) && Number(counter) > 0 && typeof nonce === 'string' && NONCE.test(nonce);
}

function isEpochStart(value: unknown): value is EpochStart {
  if (!isEpoch(value)) return false;
  const { after } = value as { after?: unknown };
  return Number.isSafeInteger(after) && Number(after) >= 0;
}

/** Whether it is a lineage, whoever says so: from one to LINEAGE_MAX_COUNT lives, each with a higher counter than the one before it. */
export function isLineage(value: unknown): value is Lineage {
  if (!Array.isArray(value) || value.length === 0 || value.length > LINEAGE_MAX_COUNT) return false;
  const starts: readonly unknown[] = value;
  let last = 0;
  return starts.every((start) => {
    if (!isEpochStart(start) || start.counter <= last) return false;
    last = start.counter;
    return true;
  });
}

/** The present life. */
export function presentOf(lineage: Lineage): EpochStart {
  return lineage.at(-1) as EpochStart; // It is not empty.
}

export function lineageHas(lineage: Lineage, epoch: Epoch): boolean {
  return lineage.some((start) => isSameEpoch(start, epoch));
}

/** Whether earlier lives were dropped from it: then what it does not have may still have been. */
export function isCut(lineage: Lineage): boolean {
  return (lineage[0] as EpochStart).counter > 1; // It is not empty.
}

/**
 * The last position that the lives before number `index` of the lineage can have and that has not been used anew since: a log that
 * became shorter, too, is taken into account.
 */
export function endBefore(lineage: Lineage, index: number): number {
  return Math.min(...lineage.slice(index).map(({ after }) => after));
}

/** How people see an epoch: `7 (3fa2c09b)`. */
export function epochText({ counter, nonce }: Epoch): string {
  return `${counter} (${nonce.slice(0, 8)})`;
}
