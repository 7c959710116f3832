/**
 * Rates per minute, averaged with weights that fade by e in one, five and fifteen minutes: the load of `$SYS/broker/load`,
 * computed as mosquitto does.
 */

/** Names of the averages in topics, with how many seconds they look back. */
export const LOAD_WINDOWS = { '1min': 60, '5min': 300, '15min': 900 } as const;
export type LoadWindow = keyof typeof LOAD_WINDOWS;
export const LOAD_WINDOW_NAMES = Object.keys(LOAD_WINDOWS) as readonly LoadWindow[];

/**
 * The average after `elapsedS` seconds at `perMinute`.
 * @param elapsedS more than 0.
 */
export function fadedAverage(average: number, perMinute: number, elapsedS: number, windowS: number): number {
  return perMinute + Math.exp(-elapsedS / windowS) * (average - perMinute);
}

/** The averages of one counter. */
export class LoadAverage {
  #total: number;
  readonly #averages: Record<LoadWindow, number> = { '1min': 0, '5min': 0, '15min': 0 };

  /** @param total where the counter stands now. */
  constructor(total: number) {
    this.#total = total;
  }

  /** @param total where the counter stands `elapsedS` seconds (more than 0) after the last call. */
  update(total: number, elapsedS: number): void {
    const perMinute = ((total - this.#total) * 60) / elapsedS;
    this.#total = total;
    for (const window of LOAD_WINDOW_NAMES) {
      this.#averages[window] = fadedAverage(
        this.#averages[window],
        perMinute,
        elapsedS,
        LOAD_WINDOWS[window],
      );
    }
  }

  of(window: LoadWindow): number {
    return this.#averages[window];
  }
}
