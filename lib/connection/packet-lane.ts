/**
 * Every packet of a connected client but PUBLISH: to the session, and the answer back.
 */
import { decodePacket } from '../protocol/decode.js';
import { protocolError } from '../protocol/frame-reader.js';
import { type AuthPacket, type Packet, PacketType } from '../protocol/packet.js';
import type { SessionLink } from '../session/environment.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import type { ConnectionEnvironment } from './environment.js';

/** The connection as its packets see it. */
export interface PacketLink extends SessionLink {
  /** Sends what the client waits for; a packet that it cannot be sent ends the connection. @returns whether it was sent */
  answer(packet: Packet): boolean;
  ping(): void;
  /** @throws ProtocolError */
  left(reasonCode: number, expiryS: number | undefined): void;
  /** @throws ProtocolError */
  reAuthenticate(packet: AuthPacket): void;
}

/** One whole frame, `bytes[start, end)`, its variable header at `body`. @throws ProtocolError */
export function handleFrame(
  bytes: Uint8Array,
  start: number,
  body: number,
  end: number,
  link: PacketLink,
  session: Session,
  env: ConnectionEnvironment,
): void {
  const first = bytes[start] as number;
  if (end - body === 2) {
    const packetId = ((bytes[body] as number) << 8) | (bytes[body + 1] as number);
    if (packetId !== 0 && handleShortAcknowledgement(first, packetId, link, session, env)) return;
  }
  // Before it is decoded: what is wrong with a CONNECT has codes that only CONNACK may carry [MQTT-3.1.0-2].
  if (first >> 4 === PacketType.connect) throw protocolError('CONNECT comes twice');
  handlePacket(decodePacket(bytes.subarray(start, end), link.version, 'toServer'), link, session, env);
}

/** The four acknowledgements in their two byte form, which are most of what comes. @returns false where it is another packet. */
function handleShortAcknowledgement(
  first: number,
  packetId: number,
  link: PacketLink,
  session: Session,
  { counters, ingest }: ConnectionEnvironment,
): boolean {
  switch (first) {
    case 0x40:
      count(counters, C.receivedPuback);
      session.outbound.puback(packetId, 0);
      return true;
    case 0x50:
      count(counters, C.receivedPubrec);
      session.outbound.pubrec(packetId, 0);
      return true;
    case 0x62:
      count(counters, C.receivedPubrel);
      ingest.pubrel(session, link, packetId);
      return true;
    case 0x70:
      count(counters, C.receivedPubcomp);
      session.outbound.pubcomp(packetId);
      return true;
    default:
      return false;
  }
}

function handlePacket(packet: Packet, link: PacketLink, session: Session, env: ConnectionEnvironment): void {
  const { counters } = env;
  switch (packet.type) {
    case 'puback':
      count(counters, C.receivedPuback);
      session.outbound.puback(packet.packetId, packet.reasonCode);
      break;
    case 'pubrec':
      count(counters, C.receivedPubrec);
      session.outbound.pubrec(packet.packetId, packet.reasonCode);
      break;
    case 'pubrel':
      count(counters, C.receivedPubrel);
      env.ingest.pubrel(session, link, packet.packetId);
      break;
    case 'pubcomp':
      count(counters, C.receivedPubcomp);
      session.outbound.pubcomp(packet.packetId);
      break;
    case 'subscribe':
      count(counters, C.receivedSubscribe);
      session.subscriptions.subscribe(packet, link, (codes) =>
        sendSuback(packet.packetId, codes, link, session, env),
      );
      break;
    case 'unsubscribe':
      count(counters, C.receivedUnsubscribe);
      session.subscriptions.unsubscribe(packet, (codes) =>
        sendUnsuback(packet.packetId, codes, link, session, env),
      );
      break;
    case 'pingreq':
      count(counters, C.receivedPingreq);
      link.ping();
      break;
    case 'disconnect':
      count(counters, C.receivedDisconnect);
      link.left(packet.reasonCode, packet.properties.sessionExpiryInterval);
      break;
    case 'auth':
      count(counters, C.receivedAuth);
      link.reAuthenticate(packet);
      break;
    default:
      throw protocolError(`${packet.type.toUpperCase()} is not for a server`);
  }
}

function sendSuback(
  packetId: number,
  codes: number[],
  link: PacketLink,
  session: Session,
  env: ConnectionEnvironment,
): void {
  if (session.link !== link) return;
  const reasonCodes = link.version === 5 ? codes : codes.map((code) => (code >= 0x80 ? 0x80 : code));
  const sent = link.answer({ type: 'suback', packetId, reasonCodes, properties: {} });
  if (sent) count(env.counters, C.sentSuback);
}

function sendUnsuback(
  packetId: number,
  codes: number[],
  link: PacketLink,
  session: Session,
  env: ConnectionEnvironment,
): void {
  if (session.link !== link) return;
  const reasonCodes = link.version === 5 ? codes : [];
  const sent = link.answer({ type: 'unsuback', packetId, reasonCodes, properties: {} });
  if (sent) count(env.counters, C.sentUnsuback);
}
