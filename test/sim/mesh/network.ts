/**
 * A network between simulated gateways: links as mesh/transport makes them, with what real ones do. Frames come whole and in order, or
 * from some moment on not at all; an end that is cut off learns of it late; datagrams are lost, doubled and delayed. A partition may cut one
 * direction alone. A gateway that is frozen gets what came meanwhile at once when it goes on.
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { Channel, LinkHandlers, LinkPath, PeerLink } from '../../../mesh/link/peer-link.js';
import type { Random } from '../random.js';
import type { Steps } from '../scheduler.js';

export interface NetworkOptions {
  readonly latencyMaxMs: number;
  /** Of datagrams. */
  readonly lossShare: number;
  readonly doubleShare: number;
  /** How late an end learns that it is cut off, at most. */
  readonly noticeMaxMs: number;
  readonly dialMaxMs: number;
  /** Bytes on their way in one direction above which `send` says that it is enough. */
  readonly windowBytes: number;
}

/** What a gateway is to the network. */
export interface NetworkNode {
  readonly id: GatewayId;
  linkUp(link: PeerLink): void;
}

interface Host {
  readonly node: NetworkNode;
  isFrozen: boolean;
  /** What came while it was frozen. */
  readonly waiting: (() => void)[];
  isGone: boolean;
}

/** One end of a link. */
class SimLink implements PeerLink {
  handlers: LinkHandlers | undefined;
  readonly path: LinkPath = 'tcp';
  readonly remoteAddress: string;
  queuedBytes = 0;
  other: SimLink | undefined;
  /** Nothing leaves any more: a frame was lost. */
  isBroken = false;
  isClosed = false;
  #isFull = false;
  #arrivesAt = 0;

  constructor(
    readonly network: MeshNetwork,
    readonly host: Host,
    readonly peer: GatewayId,
  ) {
    this.remoteAddress = `sim:${peer.slice(0, 4)}`;
  }

  /** Nothing arrives before the other side has its end. */
  notBefore(at: number): void {
    this.#arrivesAt = at;
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    const { network, other } = this;
    if (this.isClosed || other === undefined) return true;
    const bytes = Uint8Array.from(frame);
    this.queuedBytes += bytes.length;
    // In order: none arrives before the one before it.
    const at = Math.max(this.#arrivesAt, network.steps.now() + network.latency());
    this.#arrivesAt = at;
    network.steps.after(at - network.steps.now(), 'frame', () => this.#arrive(channel, bytes, other));
    this.#isFull ||= this.queuedBytes > network.options.windowBytes;
    return !this.#isFull;
  }

  #arrive(channel: Channel, bytes: Uint8Array, other: SimLink): void {
    if (this.isBroken) return;
    if (!this.network.isOpen(this.host.node.id, this.peer)) {
      this.network.breakLink(this);
      return;
    }
    this.queuedBytes -= bytes.length;
    this.network.atHost(other.host, () => {
      if (!other.isClosed) other.handlers?.onFrame(channel, bytes);
    });
    if (!this.#isFull || this.queuedBytes > this.network.options.windowBytes / 2) return;
    this.#isFull = false;
    this.network.atHost(this.host, () => {
      if (!this.isClosed) this.handlers?.onDrain();
    });
  }

  sendDatagram(bytes: Uint8Array): void {
    const { network, other } = this;
    if (this.isClosed || other === undefined) return;
    const copies = network.copies();
    for (let n = 0; n < copies; n++) {
      const copy = Uint8Array.from(bytes);
      network.steps.after(network.latency(), 'datagram', () => {
        if (!network.isOpen(this.host.node.id, this.peer)) return;
        network.atHost(other.host, () => {
          if (!other.isClosed) other.handlers?.onDatagram(copy);
        });
      });
    }
  }

  close(reason: string): void {
    if (this.isClosed) return;
    const { network, other } = this;
    network.onClose?.(this.host.node.id, this.peer, reason, this.queuedBytes + (other?.queuedBytes ?? 0));
    network.steps.after(0, 'link closes', () => this.ended(reason));
    this.isClosed = true;
    if (other === undefined) return;
    const hears = network.isOpen(this.host.node.id, this.peer);
    const delayMs = hears ? network.latency() : network.noticeMs();
    network.steps.after(delayMs, 'link closed by peer', () => {
      if (other.isClosed) return;
      other.isClosed = true;
      network.atHost(other.host, () => other.ended(`closed by the other side: ${reason}`));
    });
  }

  ended(reason: string): void {
    const { handlers } = this;
    this.handlers = undefined;
    this.network.forget(this);
    if (!this.host.isGone) handlers?.onClose(reason);
  }
}

export class MeshNetwork {
  /** A gateway closes a link. @param underWay bytes that it and the other side have sent and that have not arrived */
  onClose: ((from: GatewayId, to: GatewayId, reason: string, underWay: number) => void) | undefined;
  readonly #hosts = new Map<GatewayId, Host>();
  /** Directions that are cut: `from to`. */
  readonly #cut = new Set<string>();
  readonly #links = new Set<SimLink>();
  readonly #dialling = new Set<string>();
  #isOver = false;

  constructor(
    readonly steps: Steps,
    readonly random: Random,
    readonly options: NetworkOptions,
  ) {}

  latency(): number {
    return this.random.delay(this.options.latencyMaxMs);
  }

  noticeMs(): number {
    return this.random.float() * this.options.noticeMaxMs;
  }

  copies(): number {
    const { lossShare, doubleShare } = this.options;
    if (this.random.chance(lossShare)) return 0;
    return this.random.chance(doubleShare) ? 2 : 1;
  }

  /** A process begins. One of the same id has ended before. */
  start(node: NetworkNode): void {
    this.#hosts.set(node.id, { node, isFrozen: false, waiting: [], isGone: false });
    for (const { node: other } of this.#hosts.values()) this.#dialSoon(node.id, other.id);
  }

  /** A process is gone. The other ends learn of it some time. */
  stop(id: GatewayId): void {
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    host.isGone = true;
    this.#hosts.delete(id);
    for (const link of [...this.#links]) if (link.host === host) this.breakLink(link);
  }

  freeze(id: GatewayId): void {
    const host = this.#hosts.get(id);
    if (host !== undefined) host.isFrozen = true;
  }

  thaw(id: GatewayId): void {
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    host.isFrozen = false;
    for (const run of host.waiting.splice(0)) this.steps.after(0, 'thawed', () => this.atHost(host, run));
  }

  /** What the host does, now or when it goes on. Timers of a frozen host go through here, too. */
  atHost(host: Host, run: () => void): void {
    if (host.isGone) return;
    if (host.isFrozen) {
      host.waiting.push(run);
      return;
    }
    run();
    this.steps.settle();
  }

  runAt(id: GatewayId, run: () => void): void {
    const host = this.#hosts.get(id);
    if (host !== undefined) this.atHost(host, run);
  }

  cut(from: GatewayId, to: GatewayId): void {
    this.#cut.add(`${from} ${to}`);
  }

  heal(): void {
    this.#cut.clear();
    for (const a of this.#hosts.keys()) for (const b of this.#hosts.keys()) this.#dialSoon(a, b);
  }

  isOpen(from: GatewayId, to: GatewayId): boolean {
    return !this.#cut.has(`${from} ${to}`);
  }

  /** Another connection of the two comes up beside the one that they have. */
  double(a: GatewayId, b: GatewayId): void {
    this.#connect(a, b);
  }

  /** A connection of the two is lost without anybody's doing. */
  flap(a: GatewayId, b: GatewayId): void {
    for (const link of [...this.#links]) if (link.host.node.id === a && link.peer === b) this.breakLink(link);
  }

  end(): void {
    this.#isOver = true;
  }

  /** Frames of this link get lost from here on, in both directions, and both ends learn of it some time. */
  breakLink(link: SimLink): void {
    for (const end of [link, link.other]) {
      if (end === undefined || end.isBroken) continue;
      end.isBroken = true;
      this.steps.after(this.noticeMs(), 'link lost', () => {
        if (end.isClosed) return;
        end.isClosed = true;
        this.atHost(end.host, () => end.ended('the other side is silent'));
      });
    }
  }

  forget(link: SimLink): void {
    if (this.#links.delete(link)) this.#dialSoon(link.host.node.id, link.peer);
  }

  hasLink(a: GatewayId, b: GatewayId): boolean {
    for (const link of this.#links)
      if (link.host.node.id === a && link.peer === b && !link.isClosed && !link.isBroken) return true;
    return false;
  }

  #dialSoon(a: GatewayId, b: GatewayId): void {
    const pair = a < b ? `${a} ${b}` : `${b} ${a}`;
    if (a === b || this.#isOver || this.#dialling.has(pair)) return;
    this.#dialling.add(pair);
    this.steps.after(this.random.float() * this.options.dialMaxMs, 'dials', () => {
      this.#dialling.delete(pair);
      if (this.hasLink(a, b)) return;
      if (!this.#connect(a, b) && this.#hosts.has(a) && this.#hosts.has(b)) this.#dialSoon(a, b);
    });
  }

  #connect(a: GatewayId, b: GatewayId): boolean {
    const [one, other] = [this.#hosts.get(a), this.#hosts.get(b)];
    if (one === undefined || other === undefined || one.isFrozen || other.isFrozen) return false;
    if (!this.isOpen(a, b) || !this.isOpen(b, a)) return false;
    const here = new SimLink(this, one, b);
    const there = new SimLink(this, other, a);
    here.other = there;
    there.other = here;
    this.#links.add(here).add(there);
    const delayMs = this.latency();
    here.notBefore(this.steps.now() + delayMs);
    this.steps.after(delayMs, 'link up', () =>
      this.atHost(other, () => {
        if (!there.isClosed) other.node.linkUp(there);
      }),
    );
    one.node.linkUp(here);
    return true;
  }
}
