import { decodePacket, encodePacket } from '../../lib/protocol/index.js';
import type { ConnectPacket, Packet, SubscribePacket } from '../../lib/protocol/index.js';
import { FrameSplitter } from './frames.js';
import type { Link, LinkClient } from './link.js';
import type { Served } from './served.js';

/** Who uses a connection; a connection that its client gave up has nobody and only drains. */
export interface ConnectionUser {
  packet(connection: ClientConnection, packet: Packet): void;
  gone(connection: ClientConnection): void;
}

/** What a client asked for and when, so that the answer can be checked against the log. */
export interface Asked {
  readonly filters: readonly string[];
  /** End of the log when it was sent. */
  readonly logPosition: number;
  readonly packet: SubscribePacket | undefined;
}

/** The client's end of one connection: bytes, packets, and what the client has said on it. */
export class ClientConnection implements LinkClient {
  user: ConnectionUser | undefined;
  /** Set as soon as the gateway has taken the connection. */
  served: Served | undefined;
  accepted = false;
  closed = false;
  /** Reason code and expiry of a DISCONNECT that was sent. */
  disconnectSent: { readonly code: number; readonly expiryS: number | undefined } | undefined;
  /** Bytes that are no MQTT were sent: what follows is not ours to judge. */
  rude = false;
  /** The newest message under each packet id, and what SUBSCRIBE and UNSUBSCRIBE asked. */
  readonly sentMids = new Map<number, string>();
  readonly asked = new Map<number, Asked>();
  readonly #splitter = new FrameSplitter();
  #link: Link | undefined;

  constructor(
    readonly connect: ConnectPacket,
    /** Payload name of the will; empty without one. */
    readonly willMid: string,
    user: ConnectionUser,
  ) {
    this.user = user;
  }

  get link(): Link {
    if (this.#link === undefined) throw new Error('a client connection has no link yet');
    return this.#link;
  }

  attach(link: Link): void {
    this.#link = link;
  }

  send(packet: Packet): void {
    this.link.send(encodePacket(packet, this.connect.version));
  }

  data(bytes: Uint8Array): void {
    for (const frame of this.#splitter.push(bytes)) {
      if (this.closed || this.user === undefined) return;
      // A view would change with the splitter's buffer.
      this.user.packet(this, decodePacket(frame.slice(), this.connect.version, 'toClient'));
    }
  }

  /** The gateway has ended it. */
  ended(): void {
    this.#gone();
  }

  /** The client's half: FIN follows by itself. */
  close(): void {
    this.link.close();
    this.#gone();
  }

  reset(): void {
    this.link.reset();
    this.#gone();
  }

  vanish(): void {
    this.link.vanish();
    this.#gone();
  }

  /** The client forgets the connection without closing it. */
  abandon(): void {
    this.user = undefined;
  }

  #gone(): void {
    if (this.closed) return;
    this.closed = true;
    this.user?.gone(this);
  }
}
