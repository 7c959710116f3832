import { ReasonCode } from '../protocol/reason-code.js';
import type { CloseReason } from '../session/environment.js';
import { C } from '../telemetry/counters.js';

/** A client may be silent for one and a half times its keep alive [MQTT-3.1.2-22]. */
const GRACE = 1.5;

/**
 * @param silentMs since the last byte of the client, as far as it was read. @param keepAliveS as granted; 0: it may be silent for ever.
 * @returns why the client is let go, undefined while it is not.
 */
export function keepAliveTimeout(silentMs: number, keepAliveS: number): CloseReason | undefined {
  if (keepAliveS === 0 || silentMs <= keepAliveS * GRACE * 1000) return undefined;
  return {
    code: ReasonCode.keepAliveTimeout,
    counter: C.disconnectedKeepAlive,
    text: `nothing was received for ${(silentMs / 1000).toFixed(1)} s, the keep alive is ${keepAliveS} s`,
  };
}
