/**
 * When an unacknowledged packet is sent again on a connection that stays up. Only MQTT 3.1 and 3.1.1 allow that; a v5
 * client gets it again when it reconnects and not before [MQTT-4.4.0-1].
 */
export interface RetryPolicy {
  readonly retryInitialMs: number;
  readonly retryMaxMs: number;
}

/** @param attempt how often the packet was sent, from 1. @returns milliseconds to wait for its acknowledgement, doubling up to the maximum. */
export function retryDelayMs(attempt: number, policy: RetryPolicy): number {
  return Math.min(policy.retryMaxMs, policy.retryInitialMs * 2 ** Math.min(30, attempt - 1));
}
