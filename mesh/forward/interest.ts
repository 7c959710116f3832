/** What a peer wants of this gateway's messages. */
import type { Message } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/index.js';

/** The highest QoS that anybody there wants messages of a topic with; -1: nobody does. */
export type WantedQoS = -1 | QoS;
export type InterestMatcher = (topic: string) => WantedQoS;

export interface PeerInterest {
  readonly version: number;
  readonly matcher: InterestMatcher;
}

/**
 * How a message gets to the peer. `passing`: unacknowledged, as its publisher wants no more. What has QoS 1 or 2 is never passed, also where
 * the peer wants it with QoS 0: its clients may want more of it at any time, and then it would come in both ways, twice and out of order.
 */
export type Carriage = 'acknowledged' | 'passing' | 'none';

/** @param wanted where it is known already */
export function carriageOf(message: Message, matcher: InterestMatcher, wanted?: WantedQoS): Carriage {
  // What is retained is known everywhere: whoever subscribes later gets it from the own gateway.
  if (message.retain) return 'acknowledged';
  const qos = wanted ?? matcher(message.topic);
  if (qos < 0) return 'none';
  return message.qos === 0 ? 'passing' : 'acknowledged';
}
