/**
 * What a connection needs of the gateway, and the two who take part in its handshake.
 */
import type { Authenticator } from '../contracts/security.js';
import type { ConnectPacket, Properties } from '../protocol/packet.js';
import type { SessionEnvironment } from '../session/environment.js';
import type { SessionRegistry } from '../session/registry.js';
import type { Connection } from './connection.js';
import type { ConnectionLimits } from './handshake.js';
import type { OutboxEnvironment } from './outbox.js';

/** The handshake's counterpart: Aedes at the door of the gateway, a stand-in in the simulation. */
export interface Door {
  /** Begins the handshake; the door calls `negotiate`, `admit`, `writeConnack` of the admission, then `ready` of the connection. */
  open(connection: Connection, connect: ConnectPacket): DoorSession;
}

export interface DoorSession {
  /** The connection is over, whatever state the handshake is in. The door calls nothing of it any more. */
  closed(): void;
  /** For the session's hooks: what the door's owner knows this client as. */
  readonly handle: unknown;
}

/** Why the door or the gateway does not let a client in. */
export interface Refusal {
  readonly reasonCode: number;
  readonly text: string;
  readonly counter: number;
  readonly properties?: Properties;
  /** Closes without CONNACK. */
  readonly silent?: boolean;
}

/** Asks for credentials in place of the configured authenticator: the embedder's hook. */
export type AuthenticateHook = (done: (refusal: Refusal | undefined) => void) => void;

export interface ConnectionEnvironment extends SessionEnvironment, OutboxEnvironment {
  readonly authenticator: Authenticator;
  readonly registry: SessionRegistry;
  readonly door: Door;
  readonly connectionLimits: ConnectionLimits;
  /** Called once, when the handshake is over: the client is in, or it is not. */
  readonly onSettled: (connection: Connection) => void;
  /** Called when the connection is over and everything it held is free. */
  readonly onClosed: (connection: Connection) => void;
  /** A client id that nobody has. */
  readonly assignClientId: () => string;
  /** CONNECT was refused; `doorKnows`: the door is told through `admitted` and will tell the embedder. */
  readonly onRefused: (connection: Connection, text: string, doorKnows: boolean) => void;
  readonly onKeepAliveTimeout: (connection: Connection) => void;
  readonly onPing: (connection: Connection) => void;
  /** A protocol error, a refusal or a broken socket: for the log and the embedder. */
  readonly onError: (connection: Connection, error: Error) => void;
}
