/**
 * Frames for a gateway that the sender cannot reach go through one that both can reach. The one in the middle passes them and keeps
 * nothing. Of two that have no link the one with the smaller id asks for a way, one neighbour after the other.
 *
 *     A ── open X ──▶ R ── opened by A ──▶ X        u8 what (0x80: comes from the relay) · the other end, 32 bytes · the rest
 *     A ◀─ accepted ─ R ◀── accept A ───── X
 *     A ── data ────▶ R ── data of A ────▶ X
 */
import type { Clock } from '../../lib/contracts/clock.js';
import {
  type GatewayId,
  gatewayIdOf,
  publicKeyOf,
  PUBLIC_KEY_BYTES,
} from '../../lib/contracts/gateway-id.js';
import { Channel, DATAGRAM_MAX_BYTES, FRAME_MAX_BYTES, type PeerLink } from '../link/peer-link.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { RELAY_AFTER_MS, RELAY_AGAIN_MS, RELAY_MAX_QUEUED_BYTES, RELAYED_MAX_COUNT } from './limits.js';
import { RelayedLink, type RelayPath } from './relayed-link.js';

const Kind = { open: 1, accept: 2, data: 3, datagram: 4, close: 5 } as const;
type Kind = (typeof Kind)[keyof typeof Kind];
const KINDS: readonly Kind[] = Object.values(Kind);
const DELIVERED = 0x80;
const REASON_MAX_BYTES = 200;

export interface RelayPorts {
  readonly self: GatewayId;
  readonly clock: Pick<Clock, 'now'>;
  /** Whether this gateway passes on what others say. */
  readonly isWilling: boolean;
  /** From 0 to below 1. */
  random(): number;
  /** A link of its own to the gateway, past hello; undefined: there is none. */
  direct(id: GatewayId): PeerLink | undefined;
  /** Gateways that have one. */
  neighbours(): readonly GatewayId[];
  /** Any link, past hello. */
  isLinked(id: GatewayId): boolean;
  linkUp(link: PeerLink): void;
}

interface Wish {
  since: number;
  triedAt: number;
  /** Asked last. */
  relay: GatewayId | undefined;
  lastFailure: string | undefined;
}

export class Relay {
  readonly #ports: RelayPorts;
  readonly #links = new Map<GatewayId, RelayedLink>();
  readonly #wishes = new Map<GatewayId, Wish>();
  readonly #writer = new ByteWriter(4096);
  /** Frames that were passed on for others. */
  passed = 0;

  constructor(ports: RelayPorts) {
    this.#ports = ports;
  }

  /** Why there is no way to the gateway; undefined: nothing was tried. */
  failureOf(id: GatewayId): string | undefined {
    return this.#wishes.get(id)?.lastFailure;
  }

  /** Members of the mesh: to those without a link a way is looked for. */
  tick(members: Iterable<GatewayId>): void {
    const now = this.#ports.clock.now();
    const missing = new Set<GatewayId>();
    for (const id of members) {
      if (id === this.#ports.self || this.#ports.isLinked(id)) continue;
      missing.add(id);
      const wish = this.#wishes.get(id) ?? {
        since: now,
        triedAt: -Infinity,
        relay: undefined,
        lastFailure: undefined,
      };
      this.#wishes.set(id, wish);
      if (this.#ports.self < id && now - wish.since >= RELAY_AFTER_MS && now - wish.triedAt >= RELAY_AGAIN_MS)
        this.#ask(id, wish, now);
    }
    for (const id of this.#wishes.keys()) if (!missing.has(id)) this.#wishes.delete(id);
  }

  #ask(id: GatewayId, wish: Wish, now: number): void {
    const neighbours = this.#ports.neighbours();
    const after = wish.relay === undefined ? -1 : neighbours.indexOf(wish.relay);
    const start = after >= 0 ? after + 1 : Math.floor(this.#ports.random() * neighbours.length);
    const relay = neighbours[start % Math.max(1, neighbours.length)];
    wish.triedAt = now;
    if (relay === undefined) {
      wish.lastFailure = 'no other gateway is reachable that could pass anything on';
      return;
    }
    wish.relay = relay;
    this.#tell(relay, Kind.open, id);
  }

  /** A frame of the channel `relay`. @param from who has the link @throws MalformedFrame */
  onFrame(from: GatewayId, frame: Uint8Array): void {
    const reader = new ByteReader(frame);
    const kind = reader.u8();
    const other = gatewayIdOf(reader.raw(PUBLIC_KEY_BYTES));
    if ((kind & DELIVERED) === 0)
      this.#passOn(from, other, parseAsked(kind, frame, reader.offset), reader.offset, frame);
    else this.#take(from, other, (kind & ~DELIVERED) as Kind, reader, frame);
  }

  // In the middle.

  #passOn(from: GatewayId, to: GatewayId, kind: Kind, offset: number, frame: Uint8Array): void {
    const link = this.#ports.isWilling ? this.#ports.direct(to) : undefined;
    if (link === undefined) {
      if (kind !== Kind.close) this.#deliverReason(from, to, 'the gateway in the middle does not reach it');
      return;
    }
    if (link.queuedBytes > RELAY_MAX_QUEUED_BYTES) {
      if (kind === Kind.datagram) return;
      this.#deliverReason(from, to, 'too much waits at the gateway in the middle');
      this.#deliverReason(to, from, 'too much waits at the gateway in the middle');
      return;
    }
    this.passed++;
    this.#writer
      .u8(kind | DELIVERED)
      .raw(publicKeyOf(from))
      .raw(frame, offset);
    link.send(Channel.relay, this.#writer.finish());
  }

  #deliverReason(to: GatewayId, about: GatewayId, reason: string): void {
    const link = this.#ports.direct(to);
    if (link === undefined) return;
    this.#writer
      .u8(Kind.close | DELIVERED)
      .raw(publicKeyOf(about))
      .text(reason);
    link.send(Channel.relay, this.#writer.finish());
  }

  // At the ends.

  #take(relay: GatewayId, peer: GatewayId, kind: Kind, reader: ByteReader, frame: Uint8Array): void {
    const link = this.#links.get(peer);
    switch (kind) {
      case Kind.open:
        this.#opened(relay, peer);
        return;
      case Kind.accept:
        if (link === undefined && this.#wishes.get(peer)?.relay === relay) this.#up(relay, peer);
        else if (link?.relay !== relay) this.#tell(relay, Kind.close, peer, 'there is another link');
        return;
      case Kind.close:
        this.#closed(relay, peer, link, reader.text(REASON_MAX_BYTES));
        return;
      case Kind.data: {
        if (link?.relay !== relay) return;
        const channel = reader.u8() as Channel;
        if (frame.length - reader.offset > FRAME_MAX_BYTES)
          throw new MalformedFrame('a relayed frame that is too large');
        link.handlers?.onFrame(channel, frame.subarray(reader.offset));
        return;
      }
      case Kind.datagram:
        if (link?.relay === relay && reader.remaining <= DATAGRAM_MAX_BYTES)
          link.handlers?.onDatagram(frame.subarray(reader.offset));
        return;
      default:
        throw new MalformedFrame(`relayed ${String(kind)}`);
    }
  }

  #opened(relay: GatewayId, peer: GatewayId): void {
    if (this.#ports.direct(peer) !== undefined || this.#links.size >= RELAYED_MAX_COUNT) {
      this.#tell(relay, Kind.close, peer, 'there is another link, or there are too many');
      return;
    }
    // The other side begins anew, whatever there was.
    this.#links.get(peer)?.ended('relay: the other side began anew');
    this.#tell(relay, Kind.accept, peer);
    this.#up(relay, peer);
  }

  #up(relay: GatewayId, peer: GatewayId): void {
    const link: RelayedLink = new RelayedLink(peer, this.#pathBy(relay));
    this.#links.set(peer, link);
    this.#ports.linkUp(link);
  }

  #closed(relay: GatewayId, peer: GatewayId, link: RelayedLink | undefined, reason: string): void {
    const wish = this.#wishes.get(peer);
    if (wish?.relay === relay) wish.lastFailure = reason;
    if (link?.relay !== relay) return;
    this.#links.delete(peer);
    link.ended(`relay: ${reason}`);
  }

  #pathBy(relay: GatewayId): RelayPath {
    return {
      relay,
      queuedBytes: () => this.#ports.direct(relay)?.queuedBytes ?? 0,
      data: (to, channel, frame) => {
        const link = this.#ports.direct(relay);
        if (link === undefined) return true;
        this.#writer.u8(Kind.data).raw(publicKeyOf(to)).u8(channel).raw(frame);
        return link.send(Channel.relay, this.#writer.finish());
      },
      datagram: (to, bytes) => {
        const link = this.#ports.direct(relay);
        if (link === undefined || link.queuedBytes > RELAY_MAX_QUEUED_BYTES) return;
        this.#writer.u8(Kind.datagram).raw(publicKeyOf(to)).raw(bytes);
        link.send(Channel.relay, this.#writer.finish());
      },
      closed: (link, reason) => {
        if (this.#links.get(link.peer) !== link) return;
        this.#links.delete(link.peer);
        this.#tell(relay, Kind.close, link.peer, reason);
      },
    };
  }

  #tell(relay: GatewayId, kind: Kind, other: GatewayId, reason?: string): void {
    const link = this.#ports.direct(relay);
    if (link === undefined) return;
    this.#writer.u8(kind).raw(publicKeyOf(other));
    if (reason !== undefined) this.#writer.text(reason.slice(0, REASON_MAX_BYTES / 4));
    link.send(Channel.relay, this.#writer.finish());
  }

  // Links of the neighbours.

  /** The link to a neighbour takes frames again. */
  drained(neighbour: GatewayId): void {
    for (const link of [...this.#links.values()]) if (link.relay === neighbour) link.handlers?.onDrain();
  }

  /** A neighbour is gone, and with it what went through it. */
  lost(neighbour: GatewayId): void {
    for (const [peer, link] of [...this.#links]) {
      if (link.relay !== neighbour) continue;
      this.#links.delete(peer);
      link.ended('relay: the gateway in the middle is gone');
    }
  }
}

/**
 * What is to be passed on, as far as the other end would blame the one in the middle for it. @param at where what follows begins
 * @throws MalformedFrame
 */
function parseAsked(kind: number, frame: Uint8Array, at: number): Kind {
  const known = KINDS.find((one) => one === kind);
  if (known === undefined) throw new MalformedFrame(`to be relayed: ${kind}`);
  const rest = new ByteReader(frame.subarray(at));
  if (known === Kind.data) rest.u8();
  if (known === Kind.close) rest.text(REASON_MAX_BYTES);
  return known;
}
