/**
 * The arithmetic of membership, without state. SWIM: Das, Gupta, Motivala 2002. Lifeguard: Dadgar, Phillips, Currey 2017
 * (arXiv 1707.00788), as in memberlist's suspicion.go, awareness.go and util.go.
 */

/** How a time grows while this gateway doubts itself. @param score from 0, it is well */
export function scaledByHealth(ms: number, score: number): number {
  return ms * (score + 1);
}

/** How many gateways beside the first have to suspect one until the shortest time counts. @param present members, with this and the suspect */
export function confirmationsExpected(present: number, most: number): number {
  return Math.max(0, Math.min(most, present - 2));
}

/**
 * How long a suspect has to answer: from `maxMs` down to `minMs` as others come to suspect it too, most with the first of them
 * (Lifeguard, 4.2). With nobody to ask there is nothing to wait for.
 */
export function suspicionTimeoutMs(
  minMs: number,
  maxMs: number,
  confirmations: number,
  expected: number,
): number {
  if (expected < 1 || confirmations >= expected) return minMs;
  const share = Math.log(confirmations + 1) / Math.log(expected + 1);
  return Math.max(minMs, maxMs - (maxMs - minMs) * share);
}

/** How often a piece of news is told by datagram: lambda * log10(n + 1), at least once a lambda. */
export function retransmitLimit(lambda: number, present: number): number {
  return lambda * Math.max(1, Math.ceil(Math.log10(present + 1)));
}

/** Round-trip times of one peer, smoothed as in RFC 6298. */
export interface RoundTrip {
  readonly smoothMs: number;
  readonly variationMs: number;
}

export function afterRoundTrip(before: RoundTrip | undefined, ms: number): RoundTrip {
  if (before === undefined) return { smoothMs: ms, variationMs: ms / 2 };
  const variationMs = before.variationMs * 0.75 + Math.abs(before.smoothMs - ms) * 0.25;
  return { smoothMs: before.smoothMs * 0.875 + ms * 0.125, variationMs };
}

/** How long an answer may take before others are asked, for a gateway that is well. */
export function probeTimeoutMs(trip: RoundTrip | undefined, floorMs: number, ceilingMs: number): number {
  if (trip === undefined) return Math.min(ceilingMs, floorMs * 2);
  return Math.min(ceilingMs, Math.max(floorMs, trip.smoothMs + 4 * trip.variationMs));
}

/** A large mesh tells each load less often: the sum over all stays the same. */
export function loadIntervalMs(shortestMs: number, present: number): number {
  return shortestMs * Math.max(1, present / 32);
}
