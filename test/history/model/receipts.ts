import { uint8Column } from './column.js';

const BITS = 2;
const PER_BYTE = 8 / BITS;
/** Where counting stops. */
export const COPIES_MAX = 3;

/** What one session has received of one publisher: two bits for each message. */
export class Receipts {
  readonly #counts = uint8Column();
  /**
   * Sequence number of the newest first receipt, by stream: topic, and QoS of publisher and receiver. Order is owed within each
   * [MQTT-4.6.0-6].
   */
  readonly newest = new Map<number, number>();

  /** 0 to COPIES_MAX. */
  copies(seq: number): number {
    return (this.#counts.get(seq >> 2) >> ((seq % PER_BYTE) * BITS)) & COPIES_MAX;
  }

  /** @returns copies with this one. */
  add(seq: number): number {
    const copies = Math.min(COPIES_MAX, this.copies(seq) + 1);
    const shift = (seq % PER_BYTE) * BITS;
    this.#counts.set(seq >> 2, (this.#counts.get(seq >> 2) & ~(COPIES_MAX << shift)) | (copies << shift));
    return copies;
  }
}
