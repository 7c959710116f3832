/**
 * An epoch is one life of a gateway process: it is made durable before it is first used. The counter tells the order of the
 * lives of one data folder; the nonce tells apart two folders that were one, and a folder that was put back to what it was.
 */
export interface Epoch {
  /** From 1, one more with each start; at most EPOCH_COUNTER_MAX. */
  readonly counter: number;
  /** 16 small hexadecimal digits, random. */
  readonly nonce: string;
}

/**
 * A start each minute for four years. The ticks of an epoch, 2^32 of them (mesh/retained), have to be numbers that are exact: the last one of the last epoch is
 * 2^53 - 1.
 */
export const EPOCH_COUNTER_MAX = 2 ** 21 - 1;

/** With the position of the log after which its messages come: what was written before belongs to earlier epochs. */
export interface EpochStart extends Epoch {
  /** A log position. */
  readonly after: number;
}

/** Oldest first, the last is the present one. Not empty. The oldest known may have begun before anything is remembered. */
export type Lineage = readonly EpochStart[];

export function isSameEpoch(a: Epoch, b: Epoch): boolean {
  return a.counter === b.counter && a.nonce === b.nonce;
}
