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

/** How a message gets to the peer. `passing`: once, unacknowledged; what the peer wants with QoS 0 is not worth more. */
export type Carriage = 'acknowledged' | 'passing' | 'none';

/** @param wanted where it is known already */
export function carriageOf(message: Message, matcher: InterestMatcher, wanted?: WantedQoS): Carriage {
  // What is retained is known everywhere: whoever subscribes later gets it from the own gateway.
  if (message.retain) return 'acknowledged';
  const qos = wanted ?? matcher(message.topic);
  if (qos < 0) return 'none';
  return qos === 0 || message.qos === 0 ? 'passing' : 'acknowledged';
}
