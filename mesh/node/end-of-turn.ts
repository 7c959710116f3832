/** What is done once for everything that happens in a turn. */
export class EndOfTurn {
  readonly #schedule: (run: () => void) => void;
  readonly #run: () => void;
  #isScheduled = false;

  /** @param schedule calls back once, after everything that is already in the current turn */
  constructor(schedule: (run: () => void) => void, run: () => void) {
    this.#schedule = schedule;
    this.#run = run;
  }

  /** Something happened that it is for. */
  soon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      this.#run();
    });
  }
}
