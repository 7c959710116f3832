/**
 * Time as it is passed to everything that decides. Deadlines use `now`; only what leaves the process
 * (logs, archive rows, $SYS) uses `wall`.
 */
export interface Clock {
  /** Milliseconds on a clock that never jumps; its zero is arbitrary. */
  now(): number;
  /** Milliseconds since 1970, as good as the machine knows it. */
  wall(): number;
}

export interface TimerHandle {
  cancel(): void;
}

export interface Timers {
  /** Calls `fire` once, `delayMs` from now or later. Any non-negative delay is legal, also beyond 2^31 ms. */
  after(delayMs: number, fire: () => void): TimerHandle;
}
