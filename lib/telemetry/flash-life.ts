/**
 * How long a memory card will last under what is written to it: an order of magnitude, so that a gateway that wears its card out in a
 * year is noticed in its first days.
 */

/** How often a cell of an ordinary card can be written; cards sold as "high endurance" take several times as often. */
export const FLASH_CYCLES = 500;
/** What the file system's journal and the card's own moving of blocks add to small synced writes. */
export const FLASH_OVERHEAD = 2;
const DAY_S = 86_400;
const YEAR_DAYS = 365;

export interface FlashLife {
  readonly bytesPerDay: number;
  /** undefined: nothing was written, or the size of the card is unknown. */
  readonly years: number | undefined;
}

/** @param writtenBytes by this process, over `seconds`. @param diskBytes size of the file system, Infinity where unknown. */
export function flashLife(writtenBytes: number, seconds: number, diskBytes: number): FlashLife {
  const bytesPerDay = seconds > 0 ? (writtenBytes / seconds) * DAY_S : 0;
  if (bytesPerDay === 0 || !Number.isFinite(diskBytes)) return { bytesPerDay, years: undefined };
  return { bytesPerDay, years: (diskBytes * FLASH_CYCLES) / (bytesPerDay * FLASH_OVERHEAD * YEAR_DAYS) };
}
