import type { Clock } from './contracts/clock.js';

/** The one place that reads the clocks of the machine. */
export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};
