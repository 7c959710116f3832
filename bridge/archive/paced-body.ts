/** Lets no more through than so many bytes a second, which may change. */
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { ObjectBody, ObjectStore } from './object-store.js';

const MS_PER_S = 1000;

export class Pace {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #bytesPerSecond: () => number;
  /** When what was let through so far is through. */
  #freeAt = 0;

  /** @param bytesPerSecond asked each time; Infinity: as they come */
  constructor(bytesPerSecond: () => number, clock: Clock, timers: Timers) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#timers = timers;
  }

  /** Resolves when so many bytes may go. */
  async through(bytes: number): Promise<void> {
    const now = this.#clock.now();
    const from = Math.max(now, this.#freeAt);
    this.#freeAt = from + (bytes / this.#bytesPerSecond()) * MS_PER_S;
    if (from > now) await new Promise<void>((resolve) => this.#timers.after(from - now, resolve));
  }
}

/** The same store, which takes what is created in it at a pace. */
export function paced(objects: ObjectStore, pace: Pace): ObjectStore {
  const slowly = (body: ObjectBody): ObjectBody => ({
    ...body,
    read: async (offset, length) => {
      await pace.through(length);
      return body.read(offset, length);
    },
  });
  return {
    ...(objects.keys === undefined ? {} : { keys: objects.keys }),
    name: objects.name,
    createsOnce: () => objects.createsOnce(),
    create: (key, body) => objects.create(key, slowly(body)),
    read: (key, range) => objects.read(key, range),
    stat: (key) => objects.stat(key),
    list: (prefix, after) => objects.list(prefix, after),
    remove: (key) => objects.remove(key),
  };
}
