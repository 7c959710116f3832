import type { Clock, Timers } from '../../../../lib/contracts/clock.js';

/** A clock and timers that go on when the test says so. */
export class VirtualTime implements Clock, Timers {
  #nowMs = 1000;
  #pending: { readonly atMs: number; readonly fire: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  wall(): number {
    return this.#nowMs;
  }

  get pending(): number {
    return this.#pending.length;
  }

  after(delayMs: number, fire: () => void): { cancel(): void } {
    const entry = { atMs: this.#nowMs + delayMs, fire };
    this.#pending.push(entry);
    return { cancel: () => (this.#pending = this.#pending.filter((other) => other !== entry)) };
  }

  /** Fires what is due, in its order, and lets promises run in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await new Promise(setImmediate);
    for (;;) {
      const next = this.#pending.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#pending = this.#pending.filter((other) => other !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fire();
      await new Promise(setImmediate);
    }
    this.#nowMs = untilMs;
  }
}

/** Not random at all. */
export const middle = (): number => 0.5;
