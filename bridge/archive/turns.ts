/**
 * Work in turns. A thread that is nicer than others still runs to the end of its slice of some milliseconds before one that wakes up has the processor;
 * one that sleeps by itself between two pieces of work does not.
 */

/** Shorter than a client notices. */
const TURN_MS = 1;
/** Twice as long: at a pace that leaves clients alone, a third of a processor is enough. */
const REST_MS = 2;

/** Between two pieces of work that take a fraction of a turn. */
export type Rest = () => void;

export interface TurnPorts {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Stops the thread. */
  sleep(ms: number): void;
}

export class Turns {
  readonly #ports: TurnPorts;
  /** Somebody else is served: otherwise there is no rest. */
  areShort = false;
  #beganAt = 0;

  constructor(ports: TurnPorts) {
    this.#ports = ports;
  }

  /** Sleeps where the turn is over. Who has waited for something meanwhile sleeps once too often, and loses little. */
  readonly rest: Rest = () => {
    if (!this.areShort) return;
    const { now, sleep } = this.#ports;
    if (now() - this.#beganAt < TURN_MS) return;
    sleep(REST_MS);
    this.#beganAt = now();
  };
}
