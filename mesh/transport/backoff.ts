/**
 * How long to wait before attempt number `attempt` (from 0): anything up to `startMs` doubled each time, at most `capMs`. Full
 * jitter, so that gateways that lost each other in one moment do not come back in one moment.
 * @param random from 0 to 1
 */
export function backoffMs(attempt: number, startMs: number, capMs: number, random: number): number {
  return Math.min(capMs, startMs * 2 ** Math.min(attempt, 30)) * random;
}
