/** Virtual time: steps in the order of (time, when they were planned). Nothing happens outside of a step, so one seed is one history. */
interface Step {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class Agenda {
  readonly #heap: Step[] = [];
  #order = 0;
  #now = 1000;
  #digest = 0x811c9dc5;

  get now(): number {
    return this.#now;
  }

  /** Of everything that was noted. */
  get digest(): string {
    return (this.#digest >>> 0).toString(16).padStart(8, '0');
  }

  note(...values: readonly number[]): void {
    for (const value of values)
      this.#digest = Math.imul(this.#digest ^ (value | 0) ^ Math.floor(value / 65_536), 0x01000193);
  }

  after(delayMs: number, run: () => void): void {
    const step = { at: this.#now + delayMs, order: this.#order++, run };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(step);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = heap[parent];
      if (other === undefined || !isBefore(step, other)) break;
      heap[at] = other;
      at = parent;
    }
    heap[at] = step;
  }

  /** @returns whether there are steps left. */
  runUntil(endMs: number): boolean {
    for (let next = this.#heap[0]; next !== undefined && next.at <= endMs; next = this.#heap[0]) {
      this.#take();
      this.#now = next.at;
      next.run();
    }
    this.#now = endMs;
    return this.#heap.length > 0;
  }

  #take(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let child = left;
      const [l, r] = [heap[left], heap[right]];
      if (l !== undefined && r !== undefined && isBefore(r, l)) child = right;
      const other = heap[child];
      if (other === undefined || !isBefore(other, last)) break;
      heap[at] = other;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Step, b: Step): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
