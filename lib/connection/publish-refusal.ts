/**
 * How a client learns that one PUBLISH of it was not taken. MQTT 5: the acknowledgement carries the code. 3.1.1 has none to
 * give, and an acknowledgement would be a promise: the connection ends [MQTT-3.3.5-2].
 */
import { PUBACK, PUBREC, writeAck } from '../delivery/ack-writer.js';
import { encodePacket } from '../protocol/encode.js';
import type { QoS } from '../protocol/packet.js';
import type { ReasonCode } from '../protocol/reason-code.js';
import type { SessionLink } from '../session/environment.js';
import { count, C, type Counters } from '../telemetry/counters.js';

export interface PublishRefusal {
  readonly qos: QoS;
  /** 0 with QoS 0. */
  readonly packetId: number;
  readonly code: ReasonCode;
  readonly text: string;
}

export function refusePublish(link: SessionLink, counters: Counters, refusal: PublishRefusal): void {
  const { qos, packetId, code, text } = refusal;
  if (link.version < 5 || qos === 0) {
    link.disconnect({ code, counter: C.disconnectedProtocol, text });
    return;
  }
  if (!explain(link, qos, refusal)) writeAck(link, qos === 1 ? PUBACK : PUBREC, packetId, code);
  count(counters, qos === 1 ? C.sentPuback : C.sentPubrec);
}

/** With a Reason String, where the client wants one [MQTT-3.1.2-29] and has room for it [MQTT-3.4.2-2]. */
function explain(link: SessionLink, qos: 1 | 2, { packetId, code, text }: PublishRefusal): boolean {
  if (!link.problemInformation || text === '') return false;
  const type = qos === 1 ? 'puback' : 'pubrec';
  const properties = { reasonString: text };
  const bytes = encodePacket({ type, packetId, reasonCode: code, properties }, 5);
  if (bytes.length > link.maximumPacketSize) return false;
  link.outbox.append(bytes, true);
  return true;
}
