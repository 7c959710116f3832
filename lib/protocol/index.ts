/**
 * The door of lib/protocol: packets as values, and the bytes of MQTT 3.1, 3.1.1 and 5.
 */
export type { Carrier, Place } from './carrier.js';
export { connectVersionOf, decodeConnect } from './decode-connect.js';
export { decodePacket } from './decode.js';
export { encodePacket } from './encode.js';
export { PacketType } from './packet.js';
export type {
  AckPacket,
  AuthPacket,
  ConnackPacket,
  ConnectPacket,
  Direction,
  DisconnectPacket,
  Packet,
  PacketTypeName,
  PingreqPacket,
  PingrespPacket,
  Properties,
  ProtocolVersion,
  PublishPacket,
  QoS,
  SubackPacket,
  SubscribePacket,
  SubscriptionRequest,
  UnsubackPacket,
  UnsubscribePacket,
  UserProperty,
  Will,
} from './packet.js';
export { decodeProperties, encodeProperties, PROPERTIES } from './property.js';
export type { PropertyDefinition } from './property.js';
export { ProtocolError } from './protocol-error.js';
export { mayCarryReasonCode, ReasonCode, reasonCodeName, ReturnCode, returnCodeOf } from './reason-code.js';
export type { ReasonCodeName } from './reason-code.js';
export {
  isShared,
  isValidSubscription,
  isValidTopicFilter,
  isValidTopicName,
  levelsBeforeWildcard,
  parseSharedFilter,
  topicLevels,
  topicMatchesFilter,
} from './topic.js';
export type { SharedFilter } from './topic.js';
export { decodeUtf8, isValidUtf8String } from './utf8.js';
export {
  encodedLength,
  MALFORMED,
  NEED_MORE,
  readVariableByteInteger,
  writeVariableByteInteger,
} from './variable-byte-integer.js';
