/**
 * The fifteen MQTT control packets as plain values.
 * One shape serves 3.1, 3.1.1 and 5: what a version does not have is absent or empty there.
 */

/** 3 is MQTT 3.1, 4 is MQTT 3.1.1, 5 is MQTT 5: the level byte of CONNECT. */
export type ProtocolVersion = 3 | 4 | 5;
export type QoS = 0 | 1 | 2;

/** Control packet types, the high four bits of byte 1 [MQTT 5, table 2-1]. */
export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;
export type PacketTypeName = keyof typeof PacketType;

/** Name and value, in the order in which they stood in the packet; names may repeat [MQTT-3.1.3-10]. */
export type UserProperty = readonly [name: string, value: string];

/**
 * MQTT 5 properties of any packet, named as in the specification (table 2-4). Which packet may carry which
 * is in property.ts. `subscriptionIdentifiers` and `userProperties` are the only ones that may repeat.
 */
export interface Properties {
  payloadFormatIndicator?: 0 | 1;
  /** Seconds. */
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  subscriptionIdentifiers?: number[];
  /** Seconds; 0xffffffff: the session does not expire. */
  sessionExpiryInterval?: number;
  assignedClientIdentifier?: string;
  /** Seconds. */
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: boolean;
  /** Seconds. */
  willDelayInterval?: number;
  requestResponseInformation?: boolean;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQoS?: 0 | 1;
  retainAvailable?: boolean;
  userProperties?: UserProperty[];
  /** Bytes. */
  maximumPacketSize?: number;
  wildcardSubscriptionAvailable?: boolean;
  subscriptionIdentifierAvailable?: boolean;
  sharedSubscriptionAvailable?: boolean;
}

export interface Will {
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  properties: Properties;
}

export interface ConnectPacket {
  type: 'connect';
  version: ProtocolVersion;
  /** Bridges of mosquitto set the high bit of the level byte (0x83, 0x84): a private, widely used extension. */
  bridge: boolean;
  /** Clean Session in 3.1 and 3.1.1. */
  cleanStart: boolean;
  /** Seconds; 0: none. */
  keepAlive: number;
  clientId: string;
  username?: string;
  password?: Uint8Array;
  will?: Will;
  properties: Properties;
}
export interface ConnackPacket {
  type: 'connack';
  sessionPresent: boolean;
  /** An MQTT 5 reason code, or a 3.1.1 return code (0 to 5). */
  reasonCode: number;
  properties: Properties;
}
export interface PublishPacket {
  type: 'publish';
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  dup: boolean;
  /** 1 to 65535; absent for QoS 0. */
  packetId?: number;
  properties: Properties;
}
export interface AckPacket {
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp';
  packetId: number;
  /** 0 where the packet had none. */
  reasonCode: number;
  properties: Properties;
}
export interface SubscriptionRequest {
  filter: string;
  qos: QoS;
  noLocal: boolean;
  retainAsPublished: boolean;
  /** 0: send retained messages; 1: only if the subscription is new; 2: never. */
  retainHandling: 0 | 1 | 2;
}
export interface SubscribePacket {
  type: 'subscribe';
  packetId: number;
  subscriptions: SubscriptionRequest[];
  properties: Properties;
}
export interface SubackPacket {
  type: 'suback';
  packetId: number;
  reasonCodes: number[];
  properties: Properties;
}
export interface UnsubscribePacket {
  type: 'unsubscribe';
  packetId: number;
  filters: string[];
  properties: Properties;
}
export interface UnsubackPacket {
  type: 'unsuback';
  packetId: number;
  /** Empty in 3.1 and 3.1.1. */
  reasonCodes: number[];
  properties: Properties;
}
export interface PingreqPacket {
  type: 'pingreq';
}
export interface PingrespPacket {
  type: 'pingresp';
}
export interface DisconnectPacket {
  type: 'disconnect';
  reasonCode: number;
  properties: Properties;
}
export interface AuthPacket {
  type: 'auth';
  reasonCode: number;
  properties: Properties;
}

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;

/** Who may send a packet: the direction column of [MQTT 5, table 2-1]. */
export type Direction = 'toServer' | 'toClient';
