/** Ways to reach one gateway, tried at the same time; the first that ends in a proven connection wins. */
import { setMaxListeners } from 'node:events';
import type { Timers } from '../../lib/contracts/clock.js';

export interface Way {
  /** How much later than the first ones it begins: they are better, and may make it unnecessary. */
  readonly delayMs: number;
  /** Never rejects. undefined: it worked. Gives up when aborted. */
  readonly attempt: (signal: AbortSignal) => Promise<string | undefined>;
}

/** Of the reasons for which none worked, what people are shown. */
const REASONS_MAX_COUNT = 3;

/** @returns undefined: one worked, and the others were given up. Otherwise why none did. */
export async function race(
  ways: readonly Way[],
  timers: Timers,
  signal: AbortSignal,
): Promise<string | undefined> {
  const losers = new AbortController();
  // Each way listens; Node.js takes more than ten listeners for a leak, and says so in the log at each race.
  setMaxListeners(ways.length, losers.signal);
  const abort = (): void => losers.abort();
  signal.addEventListener('abort', abort);
  try {
    const first = Math.min(...ways.map((way) => way.delayMs));
    const failures: string[] = [];
    return await new Promise((resolve) => {
      const settle = (failure: string | undefined): void => {
        if (failure === undefined) resolve(undefined);
        else failures.push(failure);
        if (failures.length === ways.length)
          resolve([...new Set(failures)].slice(0, REASONS_MAX_COUNT).join('; '));
      };
      for (const way of ways) {
        void begin(way, way.delayMs - first, timers, losers.signal).then(settle);
      }
    });
  } finally {
    signal.removeEventListener('abort', abort);
    losers.abort();
  }
}

async function begin(
  way: Way,
  delayMs: number,
  timers: Timers,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (delayMs > 0 && !signal.aborted) {
    await new Promise<void>((resolve) => {
      const abort = (): void => {
        timer.cancel();
        resolve();
      };
      const timer = timers.after(delayMs, () => {
        signal.removeEventListener('abort', abort);
        resolve();
      });
      signal.addEventListener('abort', abort);
    });
  }
  return way.attempt(signal);
}
