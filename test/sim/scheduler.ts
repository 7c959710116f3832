import type { Clock } from '../../lib/contracts/clock.js';

interface Step {
  readonly at: number;
  readonly sequence: number;
  readonly label: string;
  readonly run: () => void;
}

/** Settles promises that a step has resolved: the lanes await credentials. */
const MICROTASK_TURNS = 6;

/** What parts of a simulation need of it: steps at later times. */
export interface Steps {
  now(): number;
  after(delayMs: number, label: string, run: () => void): void;
  settle(): void;
}

/** Runs what waits for promises that are resolved, for chains that are short. */
export async function fewTurns(): Promise<void> {
  for (let turn = 0; turn < MICROTASK_TURNS; turn++) await undefined;
}

/** The same to the end, however long the chain: for a store, where one step of a file may lead through a dozen functions. */
export function allTurns(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Virtual time: steps in the order of (time, sequence). Nothing of the simulation happens outside of a step, so one seed is one
 * history.
 */
export class Scheduler implements Clock, Steps {
  /** Called after every step. */
  onStep: ((label: string) => void) | undefined;
  readonly #heap: Step[] = [];
  #now = 1000;
  #sequence = 0;
  #steps = 0;
  #digest = 0x811c9dc5;
  #promises = false;
  readonly #settled: () => Promise<void>;

  constructor(settled: () => Promise<void> = fewTurns) {
    this.#settled = settled;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return 1_700_000_000_000 + this.#now;
  }

  get steps(): number {
    return this.#steps;
  }

  /** A number that two runs of one seed share. */
  get digest(): number {
    return this.#digest >>> 0;
  }

  /** Mixes something that was observed into the digest. */
  observe(value: number): void {
    this.#digest = Math.imul(this.#digest ^ (value | 0), 0x01000193);
  }

  observeText(text: string): void {
    for (let i = 0; i < text.length; i++) this.observe(text.charCodeAt(i));
  }

  /** @param label says what happens, for the trace and the digest. */
  after(delayMs: number, label: string, run: () => void): void {
    this.#push({ at: this.#now + delayMs, sequence: this.#sequence++, label, run });
  }

  /** The current step resolves a promise: what waits for it runs before the next step. */
  settle(): void {
    this.#promises = true;
  }

  /** Runs everything that is due within the next `durationMs`. */
  async advance(durationMs: number): Promise<void> {
    const end = this.#now + durationMs;
    for (let first = this.#heap[0]; first !== undefined && first.at <= end; first = this.#heap[0]) {
      this.#pop();
      this.#now = Math.max(this.#now, first.at);
      this.#steps++;
      this.observe(Math.round(first.at * 1000));
      this.observeText(first.label);
      first.run();
      if (this.#promises) {
        this.#promises = false;
        await this.#settled();
      }
      this.onStep?.(first.label);
    }
    this.#now = end;
  }

  #push(step: Step): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(step);
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !earlier(step, parent)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = step;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let childIndex = index * 2 + 1;
      let child = heap[childIndex];
      const right = heap[childIndex + 1];
      if (child !== undefined && right !== undefined && earlier(right, child)) {
        child = right;
        childIndex++;
      }
      if (child === undefined || !earlier(child, last)) break;
      heap[index] = child;
      index = childIndex;
    }
    heap[index] = last;
  }
}

function earlier(a: Step, b: Step): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
