import { SECURITY_LIMITS } from './limits.js';

/** Lets a few jobs run at once and a bounded number wait, first come first served. */
export class HashGate {
  readonly #runningMaxCount: number;
  readonly #queueMaxCount: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(
    runningMaxCount: number = SECURITY_LIMITS.hashRunningMaxCount,
    queueMaxCount: number = SECURITY_LIMITS.hashQueueMaxCount,
  ) {
    this.#runningMaxCount = runningMaxCount;
    this.#queueMaxCount = queueMaxCount;
  }

  /** The outcome of `job`, which may have had to wait; undefined, at once and without running it, where the queue is full. */
  run<T>(job: () => Promise<T>): Promise<T> | undefined {
    if (this.#running >= this.#runningMaxCount && this.#waiting.length >= this.#queueMaxCount)
      return undefined;
    return this.#admit(job);
  }

  async #admit<T>(job: () => Promise<T>): Promise<T> {
    // Whoever ends hands its place to the first that waits, so that nobody who comes later can take it.
    if (this.#running >= this.#runningMaxCount)
      await new Promise<void>((admitted) => this.#waiting.push(admitted));
    else this.#running++;
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
