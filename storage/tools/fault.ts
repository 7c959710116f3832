import type { LogPosition } from '../../lib/contracts/store.js';

/** Positions from `first` to `last`, both included. */
export interface PositionRange {
  readonly first: LogPosition;
  readonly last: LogPosition;
}

export type FaultKind =
  | 'identity'
  /** Of the two files with the wrapped keys one is missing or damaged. */
  | 'keys'
  /** A segment whose header cannot be read. */
  | 'header'
  /** Of another gateway. */
  | 'foreign'
  /** The disk does not give the bytes back. */
  | 'unreadable'
  | 'records'
  | 'missing'
  /** The end of a segment, or the chain over its records: the records themselves are whole. */
  | 'seal'
  | 'snapshot'
  | 'database';

/** Something that is not as it was written. */
export interface Fault {
  readonly kind: FaultKind;
  readonly path: string;
  readonly text: string;
  /** Bytes `[from, to)` of the file. */
  readonly bytes?: { readonly from: number; readonly to: number };
  /** What cannot be had because of it. */
  readonly positions?: PositionRange;
}

/** Positions in any order, some of them twice perhaps, as ranges in order. */
export function rangesOf(positions: readonly LogPosition[]): PositionRange[] {
  const ranges: { first: LogPosition; last: LogPosition }[] = [];
  for (const position of positions.toSorted((a, b) => a - b)) {
    const current = ranges[ranges.length - 1];
    if (current === undefined || position > current.last + 1)
      ranges.push({ first: position, last: position });
    else current.last = position;
  }
  return ranges;
}

/** As a person writes them: `5, 7 to 9`. */
export function rangesText(ranges: readonly PositionRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first} to ${last}`)).join(', ');
}
