/**
 * Reason codes of MQTT 5 [section 2.4, table 2-6] and the return codes of CONNACK in 3.1.1 [table 3.1].
 */
import { carrierBit, carrierBits, carrierMask, type Carrier } from './carrier.js';
import type { Direction, PacketTypeName } from './packet.js';

export const ReasonCode = {
  success: 0x00,
  grantedQoS1: 0x01,
  grantedQoS2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reAuthenticate: 0x19,
  unspecifiedError: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecificError: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierInUse: 0x91,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdentifiersNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2,
} as const;
export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode];

export type ReasonCodeName = keyof typeof ReasonCode;

const BOTH_WAYS = ['connack', 'disconnect'] as const satisfies readonly Carrier[];
const DISCONNECT_BY_SERVER = ['disconnect toClient'] as const satisfies readonly Carrier[];
const ANSWERS_TO_PUBLISH = ['puback', 'pubrec'] as const satisfies readonly Carrier[];
const ANSWERS_TO_REQUESTS = [
  ...ANSWERS_TO_PUBLISH,
  'suback',
  'unsuback',
] as const satisfies readonly Carrier[];

/**
 * Which packets may carry a code: the tables of sections 3.2.2.2, 3.4.2.1 to 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1, with
 * their "sent by" columns. Wider than those tables in two places: 0x8c in DISCONNECT is in table 2-6 but not in section 3.14;
 * and 0x10 from a client, since a broker that connects to us as a bridge answers like the broker that it is.
 */
const REASON_CODE_CARRIERS: Readonly<Record<ReasonCodeName, readonly Carrier[]>> = {
  success: [...BOTH_WAYS, ...ANSWERS_TO_REQUESTS, 'pubrel', 'pubcomp', 'auth toClient'],
  grantedQoS1: ['suback'],
  grantedQoS2: ['suback'],
  disconnectWithWill: ['disconnect toServer'],
  noMatchingSubscribers: ANSWERS_TO_PUBLISH,
  noSubscriptionExisted: ['unsuback'],
  continueAuthentication: ['auth'],
  reAuthenticate: ['auth toServer'],
  unspecifiedError: [...BOTH_WAYS, ...ANSWERS_TO_REQUESTS],
  malformedPacket: BOTH_WAYS,
  protocolError: BOTH_WAYS,
  implementationSpecificError: [...BOTH_WAYS, ...ANSWERS_TO_REQUESTS],
  unsupportedProtocolVersion: ['connack'],
  clientIdentifierNotValid: ['connack'],
  badUserNameOrPassword: ['connack'],
  notAuthorized: ['connack', ...DISCONNECT_BY_SERVER, ...ANSWERS_TO_REQUESTS],
  serverUnavailable: ['connack'],
  serverBusy: ['connack', ...DISCONNECT_BY_SERVER],
  banned: ['connack'],
  serverShuttingDown: DISCONNECT_BY_SERVER,
  badAuthenticationMethod: ['connack', ...DISCONNECT_BY_SERVER],
  keepAliveTimeout: DISCONNECT_BY_SERVER,
  sessionTakenOver: DISCONNECT_BY_SERVER,
  topicFilterInvalid: [...DISCONNECT_BY_SERVER, 'suback', 'unsuback'],
  topicNameInvalid: [...BOTH_WAYS, ...ANSWERS_TO_PUBLISH],
  packetIdentifierInUse: ANSWERS_TO_REQUESTS,
  packetIdentifierNotFound: ['pubrel', 'pubcomp'],
  receiveMaximumExceeded: ['disconnect'],
  topicAliasInvalid: ['disconnect'],
  packetTooLarge: BOTH_WAYS,
  messageRateTooHigh: ['disconnect'],
  quotaExceeded: [...BOTH_WAYS, ...ANSWERS_TO_PUBLISH, 'suback'],
  administrativeAction: ['disconnect'],
  payloadFormatInvalid: [...BOTH_WAYS, ...ANSWERS_TO_PUBLISH],
  retainNotSupported: ['connack', ...DISCONNECT_BY_SERVER],
  qosNotSupported: ['connack', ...DISCONNECT_BY_SERVER],
  useAnotherServer: ['connack', ...DISCONNECT_BY_SERVER],
  serverMoved: ['connack', ...DISCONNECT_BY_SERVER],
  sharedSubscriptionsNotSupported: [...DISCONNECT_BY_SERVER, 'suback'],
  connectionRateExceeded: ['connack', ...DISCONNECT_BY_SERVER],
  maximumConnectTime: DISCONNECT_BY_SERVER,
  subscriptionIdentifiersNotSupported: [...DISCONNECT_BY_SERVER, 'suback'],
  wildcardSubscriptionsNotSupported: [...DISCONNECT_BY_SERVER, 'suback'],
};

const NAMES = Object.keys(ReasonCode) as ReasonCodeName[];
const NAME_BY_CODE: readonly (ReasonCodeName | undefined)[] = Array.from({ length: 256 }, (_, code) =>
  NAMES.find((name) => ReasonCode[name] === code),
);
const MASK_BY_CODE = Int32Array.from(NAME_BY_CODE, (name) =>
  name === undefined ? 0 : carrierMask(REASON_CODE_CARRIERS[name]),
);

/** The name of an MQTT 5 reason code, for logs; undefined where the specification has none. */
export function reasonCodeName(code: number): ReasonCodeName | undefined {
  return NAME_BY_CODE[code];
}

/**
 * Whether an MQTT 5 packet of this type may carry `code`, a byte, in `direction` (or, where that is undefined, in any direction).
 * For AUTH, CONNACK, DISCONNECT, SUBACK, UNSUBACK and the four acknowledgements of PUBLISH; false for all others.
 */
export function mayCarryReasonCode(
  packet: PacketTypeName,
  code: number,
  direction: Direction | undefined,
): boolean {
  const bits = direction === undefined ? carrierBits(packet) : carrierBit(packet, direction);
  return ((MASK_BY_CODE[code] ?? 0) & bits) !== 0;
}

/** CONNACK return codes of MQTT 3.1 and 3.1.1. */
export const ReturnCode = {
  accepted: 0,
  unacceptableProtocolVersion: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badUserNameOrPassword: 4,
  notAuthorized: 5,
} as const;
export type ReturnCode = (typeof ReturnCode)[keyof typeof ReturnCode];

/** What a 3.1.1 client is told in CONNACK where a v5 client would get `reasonCode`. */
export function returnCodeOf(reasonCode: number): ReturnCode {
  switch (reasonCode) {
    case ReasonCode.success:
      return ReturnCode.accepted;
    case ReasonCode.unsupportedProtocolVersion:
      return ReturnCode.unacceptableProtocolVersion;
    case ReasonCode.clientIdentifierNotValid:
      return ReturnCode.identifierRejected;
    case ReasonCode.badUserNameOrPassword:
      return ReturnCode.badUserNameOrPassword;
    case ReasonCode.notAuthorized:
    case ReasonCode.banned:
    case ReasonCode.badAuthenticationMethod:
      return ReturnCode.notAuthorized;
    default:
      return ReturnCode.serverUnavailable;
  }
}
