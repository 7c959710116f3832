/**
 * Packet ids of incoming QoS 2 messages between PUBREC and PUBREL. Few ids live in a Set; a client that leaves many open
 * (3.1.1 sets it no limit) costs a bitmap of 8 KiB and never more.
 */
const BITMAP_FROM = 64;

export class PacketIdSet {
  #few: Set<number> | undefined;
  #bitmap: Uint8Array | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(id: number): boolean {
    if (this.#bitmap !== undefined) return ((this.#bitmap[id >> 3] as number) & (1 << (id & 7))) !== 0;
    return this.#few !== undefined && this.#few.has(id);
  }

  add(id: number): void {
    if (this.has(id)) return;
    this.#size++;
    if (this.#bitmap !== undefined) {
      this.#bitmap[id >> 3] = (this.#bitmap[id >> 3] as number) | (1 << (id & 7));
      return;
    }
    this.#few ??= new Set();
    this.#few.add(id);
    if (this.#few.size > BITMAP_FROM) this.#toBitmap(this.#few);
  }

  /** @returns whether the id was in the set. */
  delete(id: number): boolean {
    if (!this.has(id)) return false;
    this.#size--;
    if (this.#bitmap !== undefined) {
      this.#bitmap[id >> 3] = (this.#bitmap[id >> 3] as number) & ~(1 << (id & 7));
      if (this.#size === 0) this.#bitmap = undefined;
    } else {
      this.#few?.delete(id);
    }
    return true;
  }

  toArray(): number[] {
    if (this.#bitmap === undefined) return this.#few === undefined ? [] : [...this.#few];
    const ids: number[] = [];
    for (let id = 1; id <= 65535; id++) if (this.has(id)) ids.push(id);
    return ids;
  }

  #toBitmap(ids: Set<number>): void {
    const bitmap = new Uint8Array(8192);
    for (const id of ids) bitmap[id >> 3] = (bitmap[id >> 3] as number) | (1 << (id & 7));
    this.#bitmap = bitmap;
    this.#few = undefined;
  }
}
