/**
 * What we use of Aedes beyond its published types, in one place. Checked against aedes 2.0.0-beta.1, the pinned version;
 * the tests of the door fail where another version differs.
 */
import type { IncomingMessage } from 'node:http';
import type { Client, Connection as AedesStream } from 'aedes';

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

/** An Aedes client with what its own modules use of it. */
export type AedesClient = Client & {
  clean: boolean;
  sessionExpiryInterval: number;
  receiveMaximum: number;
  maximumPacketSize: number | undefined;
  disconnectReasonCode: number | null;
  subscriptions: Record<string, unknown>;
  duplicates: Record<string, unknown>;
  _parser: unknown;
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

export type AedesHandle = (stream: AedesStream, request?: IncomingMessage) => AedesClient;
