/**
 * One connection as Aedes knows it: its client over a port, and what the embedder sees in place of the port.
 *
 *     waiting ──CONNECT──▶ shaking hands ──clientReady──▶ spent ──▶ over
 *
 * Aedes reads and writes `client.conn` while hands are shaken, so the port is there whenever Aedes runs, and the real
 * stream whenever code of the embedder runs. A client that is `spent` gave everything back that only a handshake needs:
 * port, parser and the closures around them are what a connection of Aedes costs.
 */
import type { Connection } from '../connection/connection.js';
import type { DoorSession } from '../connection/environment.js';
import { decodePacket } from '../protocol/decode.js';
import type { AedesClient, AedesConnack, PortLike } from './aedes-internals.js';
import { toAedesConnack } from './packet-mapping.js';
import type { Port } from './port.js';

const nothing = (): void => {};
/** For members of a spent client that only a handshake uses; what `close` of Aedes touches of them does nothing. */
const SPENT_PARSER = { _queue: null, packet: undefined, removeAllListeners: nothing, parse: nothing };
const SPENT_PORT: PortLike = {
  destroyed: true,
  removeAllListeners: nothing,
  on: nothing,
  emit: nothing,
  read: () => null,
  destroy: nothing,
};
/** What a client is left with when its handshake is over. */
const SPENT = {
  _eos: nothing,
  _parser: SPENT_PARSER,
  _topicAliases: new Map<number, string>(),
  _nextBatch: nothing,
  deliver0: nothing,
  deliverQoS: nothing,
  _paused: true,
};
/** Without a prototype: names like `constructor` are topics and ids too. Aedes never sees a subscription or a message. */
const NONE: object = Object.freeze(Object.create(null) as object);

const DOOR = Symbol('door');
type Linked = { [DOOR]?: DoorClient };

/** @returns undefined for whatever is not a client of a door. */
export function doorOf(client: unknown): DoorClient | undefined {
  return typeof client === 'object' && client !== null ? (client as Linked)[DOOR] : undefined;
}

export class DoorClient implements DoorSession {
  readonly handle: AedesClient;
  /** undefined: its transport is gone. A session that stays keeps its client, and not what a connection takes. */
  #connection: Connection | undefined;
  /** The embedder's own error where a hook of it refused: what the events show. */
  refusal: Error | undefined;
  /** The CONNACK that left, until `connackSent` was emitted. */
  connack: AedesConnack | undefined;
  /** Called once, when the connection is over. */
  onClosed: (() => void) | undefined;
  /** `client.conn` for the embedder. */
  readonly #shown: PortLike;
  #port: Port | undefined;
  /** Code of the embedder runs: calls nest. */
  #exposures = 0;
  #spent = false;
  #over = false;
  #whenOver: (() => void)[] | undefined;

  /** @param shown the stream that the embedder gave, or the transport where there is none. */
  constructor(client: AedesClient, connection: Connection, port: Port, shown: unknown) {
    this.handle = client;
    this.#connection = connection;
    this.#port = port;
    this.#shown = shown as PortLike;
    client.subscriptions = NONE;
    client.duplicates = NONE;
    (client as Linked)[DOOR] = this;
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Hands Aedes the CONNECT packet. */
  push(connect: Uint8Array): void {
    this.#port?.push(connect);
  }

  /** Before code of the embedder runs. */
  expose(): void {
    this.#exposures++;
    if (this.#port === undefined) return;
    // Paused, Aedes cannot read from the stream that it finds in place of its port.
    Object.assign(this.handle, { _paused: true, conn: this.#shown });
  }

  /** After it, before Aedes goes on. */
  conceal(): void {
    this.#exposures--;
    if (this.#port === undefined || this.#exposures > 0) return;
    Object.assign(this.handle, { _paused: false, conn: this.#over ? SPENT_PORT : this.#port });
  }

  /** Reads the CONNACK that was just put into the outbox, for `connackSent`. */
  keepConnack(): void {
    if (this.#connection === undefined) return;
    const { outbox, version } = this.#connection;
    const end = outbox.reserve(0);
    const bytes = lastFrame(outbox.buffer.subarray(0, end));
    if (bytes === undefined) return;
    const packet = decodePacket(bytes, version, 'toClient');
    if (packet.type === 'connack') this.connack = toAedesConnack(packet, version);
  }

  /** The handshake is over and Aedes out of it. */
  spend(): void {
    if (this.#over || this.#spent) return;
    this.#spent = true;
    const { _eos: stopWatching } = this.handle;
    stopWatching();
    Object.assign(this.handle, SPENT, { conn: this.#shown });
    this.#port = undefined;
  }

  /** @internal The connection is over, whatever state the handshake is in. */
  closed(): void {
    if (this.#over) return;
    this.#over = true;
    const client = this.handle;
    const closeReason = this.#connection?.closeReason;
    if (client.version === 5 && client.disconnectReasonCode === null && closeReason?.code !== undefined)
      client.disconnectReasonCode = closeReason.code;
    this.onClosed?.();
    this.onClosed = undefined;
    client.conn = SPENT_PORT;
    closeAedes(client);
    this.#port?.destroy();
    if (this.#spent) client.conn = this.#shown;
    const waiting = this.#whenOver;
    this.#whenOver = undefined;
    for (const done of waiting ?? []) setImmediate(done);
  }

  /** @internal Its transport is gone. */
  release(): void {
    this.#connection = undefined;
  }

  /** The last word of Aedes about a connection that ended: it does not touch `client.conn` any more. */
  settle(): void {
    if (!this.#over) return;
    this.#port = undefined;
    this.handle.conn = this.#shown;
  }

  whenOver(done: () => void): void {
    if (this.#over) setImmediate(done);
    else (this.#whenOver ??= []).push(done);
  }
}

/** Closes the client for Aedes alone: above its `close` stands ours, which ends the connection. */
export function closeAedes(client: AedesClient): void {
  const ours: object = Object.getPrototypeOf(client) as object;
  const aedes = Object.getPrototypeOf(ours) as { close(): void };
  aedes.close.call(client);
}

function lastFrame(bytes: Uint8Array): Uint8Array | undefined {
  let start = 0;
  let last: Uint8Array | undefined;
  while (start < bytes.length) {
    let length = 0;
    let at = start + 1;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    last = bytes.subarray(start, at + length);
    start = at + length;
  }
  return last;
}
