import type { Connection } from '../../lib/connection/connection.js';
import type { Session } from '../../lib/session/session.js';
import type { ClientConnection } from './client-connection.js';

/** Where a connection is in its handshake, as seen from the door. */
export type Phase =
  'opening' | 'negotiating' | 'authenticating' | 'claiming' | 'accepting' | 'ready' | 'over';

/** One connection from the gateway's side, with what its client knows of it: what invariants compare. */
export class Served {
  phase: Phase = 'opening';
  session: Session | undefined;
  /** Names the session object; sessions of one client id that follow each other have different ones. */
  sessionKey = 0;
  /** Whether the session was to outlive the connection when CONNACK was written. */
  durable = false;
  /** CONNACK was written and the end has not been reported. */
  live = false;

  constructor(
    readonly number: number,
    readonly connection: Connection,
    readonly peer: ClientConnection,
  ) {}

  get clientId(): string {
    return this.connection.terms?.clientId ?? this.connection.connect?.clientId ?? '';
  }
}
