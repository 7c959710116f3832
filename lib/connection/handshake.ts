/**
 * What CONNECT asks for against what the gateway grants, and the CONNACK that says so. Pure: the connection acts on it.
 */
import type { ConnackPacket, ConnectPacket, Properties, ProtocolVersion } from '../protocol/packet.js';
import { ReasonCode, returnCodeOf } from '../protocol/reason-code.js';
import { EXPIRES_NEVER } from '../session/session.js';
import { exceeds } from '../session/subscription-set.js';

/** Configured limits of connections; meaning and defaults are in the configuration reference. */
export interface ConnectionLimits {
  readonly connectTimeoutMs: number;
  readonly connectMaxBytes: number;
  readonly packetMaxBytes: number;
  readonly keepAliveMaxS: number;
  readonly sessionExpiryMaxS: number;
  readonly receiveMaximum: number;
  readonly topicAliasMaximum: number;
  readonly outboundTopicAliasMaximum: number;
  readonly windowMax: number;
  readonly clientIdMaxBytes: number;
  readonly topicMaxBytes: number;
  readonly topicMaxLevels: number;
  /** 0: a client that does not read is kept. */
  readonly writeTimeoutMs: number;
  /** Whether messages may be retained. */
  readonly retain: boolean;
}

const PACKET_MAX_BYTES = 268435460;
const RECEIVE_MAXIMUM_MAX = 65535;

/** The terms of an accepted connection. */
export interface Terms {
  readonly clientId: string;
  readonly assignedClientId: boolean;
  readonly keepAliveS: number;
  readonly expiryS: number;
  /** Messages in flight towards the client. */
  readonly sendWindow: number;
  readonly maximumPacketSize: number;
  readonly topicAliasMaximum: number;
  readonly problemInformation: boolean;
  readonly isBridge: boolean;
  /** For CONNACK, where the client asked for it; set between credentials and CONNACK. */
  responseInformation?: string | undefined;
  /** For CONNACK, the last word of enhanced authentication where it has one. */
  authenticationData?: Uint8Array;
}

export type Assessment = { ok: true; terms: Terms } | { ok: false; reasonCode: number; text: string };

/** @param assignId makes a client id that nobody has. */
export function assess(connect: ConnectPacket, limits: ConnectionLimits, assignId: () => string): Assessment {
  const refusal = refusalOf(connect, limits);
  if (refusal !== undefined) return { ok: false, ...refusal };
  const { properties } = connect;
  const assigned = connect.clientId === '';
  return {
    ok: true,
    terms: {
      clientId: assigned ? assignId() : connect.clientId,
      assignedClientId: assigned,
      keepAliveS: keepAliveOf(connect, limits),
      expiryS: expiryOf(connect, limits),
      sendWindow: Math.min(properties.receiveMaximum ?? 65535, limits.windowMax),
      maximumPacketSize: properties.maximumPacketSize ?? PACKET_MAX_BYTES,
      topicAliasMaximum: Math.min(properties.topicAliasMaximum ?? 0, limits.outboundTopicAliasMaximum),
      problemInformation: properties.requestProblemInformation ?? true,
      isBridge: connect.bridge,
    },
  };
}

function refusalOf(
  connect: ConnectPacket,
  limits: ConnectionLimits,
): { reasonCode: number; text: string } | undefined {
  const { clientId, version, will } = connect;
  const notValid = ReasonCode.clientIdentifierNotValid;
  // 3.1 has no empty client ids; 3.1.1 only for clean sessions [MQTT-3.1.3-8].
  if (clientId === '' && (version === 3 || (version === 4 && !connect.cleanStart))) {
    return { reasonCode: notValid, text: 'a client id is needed for a session that is kept' };
  }
  if (Buffer.byteLength(clientId) > limits.clientIdMaxBytes) {
    return {
      reasonCode: notValid,
      text: `the client id has ${Buffer.byteLength(clientId)} bytes, beyond mqtt.clientIdMaxBytes ${limits.clientIdMaxBytes}`,
    };
  }
  if (will !== undefined && exceeds(will.topic, limits.topicMaxBytes, limits.topicMaxLevels)) {
    return {
      reasonCode: ReasonCode.topicNameInvalid,
      text: 'the will topic is beyond mqtt.topicMaxBytes or mqtt.topicMaxLevels',
    };
  }
  if (will?.retain === true && !limits.retain) {
    return {
      reasonCode: ReasonCode.retainNotSupported,
      text: 'the will is to be retained, and mqtt.retain is off',
    };
  }
  const capped =
    limits.keepAliveMaxS > 0 && (connect.keepAlive === 0 || connect.keepAlive > limits.keepAliveMaxS);
  // Before MQTT 5 there is no way to tell a client to send more often.
  if (version < 5 && capped) {
    return {
      reasonCode: ReasonCode.notAuthorized,
      text: `a keep alive of ${connect.keepAlive} s is beyond mqtt.keepAliveMaxS ${limits.keepAliveMaxS}`,
    };
  }
  return undefined;
}

function keepAliveOf(connect: ConnectPacket, limits: ConnectionLimits): number {
  const maximum = limits.keepAliveMaxS;
  if (maximum === 0) return connect.keepAlive;
  return connect.keepAlive === 0 ? maximum : Math.min(connect.keepAlive, maximum);
}

function expiryOf(connect: ConnectPacket, limits: ConnectionLimits): number {
  const asked =
    connect.version === 5
      ? (connect.properties.sessionExpiryInterval ?? 0)
      : connect.cleanStart
        ? 0
        : EXPIRES_NEVER;
  return clampExpiry(asked, limits.sessionExpiryMaxS);
}

/** @param maximum seconds; 0: no cap. */
export function clampExpiry(asked: number, maximum: number): number {
  return maximum === 0 ? asked : Math.min(asked, maximum);
}

/** What CONNACK advertises is what the lanes enforce. */
export function connackProperties(
  connect: ConnectPacket,
  terms: Terms,
  limits: ConnectionLimits,
): Properties {
  if (connect.version !== 5) return {};
  const properties: Properties = { topicAliasMaximum: limits.topicAliasMaximum };
  // What is not said is the protocol's own limit [MQTT 5, 3.2.2.3.3 and 3.2.2.3.6].
  if (limits.receiveMaximum < RECEIVE_MAXIMUM_MAX) properties.receiveMaximum = limits.receiveMaximum;
  if (limits.packetMaxBytes < PACKET_MAX_BYTES) properties.maximumPacketSize = limits.packetMaxBytes;
  if (terms.responseInformation !== undefined) properties.responseInformation = terms.responseInformation;
  if (!limits.retain) properties.retainAvailable = false;
  if (terms.expiryS !== (connect.properties.sessionExpiryInterval ?? 0))
    properties.sessionExpiryInterval = terms.expiryS;
  if (terms.assignedClientId) properties.assignedClientIdentifier = terms.clientId;
  if (terms.keepAliveS !== connect.keepAlive) properties.serverKeepAlive = terms.keepAliveS;
  const { authenticationMethod } = connect.properties;
  if (authenticationMethod !== undefined) properties.authenticationMethod = authenticationMethod;
  if (terms.authenticationData !== undefined) properties.authenticationData = terms.authenticationData;
  return properties;
}

/** CONNACK of a refusal; a 3.1.1 client gets the return code that is nearest. */
export function refusalConnack(
  version: ProtocolVersion,
  reasonCode: number,
  properties: Properties,
): ConnackPacket {
  return {
    type: 'connack',
    sessionPresent: false,
    reasonCode: version === 5 ? reasonCode : returnCodeOf(reasonCode),
    properties: version === 5 ? properties : {},
  };
}
