/**
 * What we use of Aedes beyond its published types, in one place. Checked against aedes 2.0.0-beta.1, the pinned version;
 * the tests of the door fail where another version differs.
 */
import type { IncomingMessage } from 'node:http';
import type { Port } from './port.js';
import type { Client } from 'aedes';

/** A packet as Aedes hands it to hooks, events and in-process subscribers. */
export interface AedesPacket {
  cmd: 'publish';
  brokerId?: string;
  brokerCounter?: number;
  topic: string;
  payload: Buffer | string;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  messageId?: number | undefined;
  clientId?: string;
  properties?: AedesProperties;
}

/** Properties as mqtt-packet names them. */
export interface AedesProperties {
  payloadFormatIndicator?: boolean;
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Buffer;
  userProperties?: Record<string, string | string[]>;
  [name: string]: unknown;
}

/** CONNECT as `preConnect` sees it and may change it. */
export interface AedesConnect {
  cmd: 'connect';
  clientId: string;
  protocolVersion?: number;
  protocolId?: string;
  clean?: boolean;
  keepalive?: number;
  username?: string | undefined;
  password?: Buffer | undefined;
  will?:
    | {
        topic: string;
        payload: Buffer | string;
        qos?: 0 | 1 | 2;
        retain?: boolean;
        properties?: AedesProperties & { willDelayInterval?: number };
      }
    | undefined;
  properties?: Record<string, unknown> | undefined;
}

/** CONNACK as `connackSent` shows it. */
export interface AedesConnack {
  cmd: 'connack';
  sessionPresent: boolean;
  /** MQTT 5. */
  reasonCode?: number;
  /** MQTT 3.1 and 3.1.1. */
  returnCode?: number;
  properties?: AedesProperties;
}

/** What Aedes's client uses of the stream that it believes to be its connection. */
export interface PortLike {
  readonly destroyed: boolean;
  removeAllListeners(event: string): unknown;
  on(event: string, listener: () => void): unknown;
  emit(event: string): unknown;
  read(size: null): unknown;
  destroy(error?: Error): unknown;
}

/** An Aedes client with what its own modules use of it. */
export type AedesClient = Omit<Client, 'conn'> & {
  conn: PortLike;
  clean: boolean;
  sessionExpiryInterval: number;
  receiveMaximum: number;
  maximumPacketSize: number | undefined;
  disconnectReasonCode: number | null;
  subscriptions: object;
  duplicates: object;
  _parser: unknown;
  _paused: boolean | undefined;
  _topicAliases: unknown;
  _eos: () => void;
  _nextBatch: unknown;
  deliver0: unknown;
  deliverQoS: unknown;
  close(done?: () => void): void;
};

export interface HookError extends Error {
  returnCode?: number;
  reasonCode?: number;
  serverReference?: string;
}

export interface MqEmitter {
  on(topic: string, deliver: MqListener, done?: () => void): void;
  removeListener(topic: string, deliver: MqListener, done?: () => void): void;
  emit(packet: AedesPacket, done?: (error?: Error) => void): void;
  close(done?: () => void): void;
}
export type MqListener = (packet: AedesPacket, done: () => void) => void;

export type AedesHandle = (stream: Port, request?: IncomingMessage) => AedesClient;
