/** Gateways on 127.0.0.1 that have the real transport, and nothing above it. */
import { randomBytes } from 'node:crypto';
import HyperDHT from 'hyperdht';
import { gatewayIdOf, type GatewayId } from '../../lib/contracts/gateway-id.js';
import { realClock, realTimers } from '../../lib/real-clock.js';
import { SwarmKey } from '../../mesh/admission/swarm-key.js';
import { Channel, type PeerLink } from '../../mesh/link/peer-link.js';
import {
  createBootstrapNode,
  createTransport,
  type BootstrapNode,
  type HostPort,
  type KnownPeer,
  type Transport,
  type TransportOptions,
} from '../../mesh/transport/index.js';
import { freeUdpPort } from '../support/free-port.js';
import { nullLogger } from '../support/null-logger.js';

export const LOCAL = '127.0.0.1';

/** Who cleans up: a tap test. */
export interface Cleaner {
  teardown(clean: () => unknown): void;
}

export interface GatewaySettings extends Partial<TransportOptions> {
  readonly swarmKey: SwarmKey;
  /** What it remembers from an earlier life. */
  readonly book?: readonly KnownPeer[];
}

export interface Arrival {
  readonly from: GatewayId;
  readonly channel: Channel;
  readonly frame: Buffer;
}

export class TestGateway {
  readonly id: GatewayId;
  readonly keyPair: { publicKey: Uint8Array; secretKey: Uint8Array };
  readonly transport: Transport;
  readonly links = new Map<GatewayId, PeerLink>();
  readonly opened: PeerLink[] = [];
  readonly closed: { readonly link: PeerLink; readonly reason: string }[] = [];
  readonly frames: Arrival[] = [];
  readonly datagrams: string[] = [];
  drains = 0;
  keepsFrames = true;
  onFrame: ((arrival: Arrival) => void) | undefined;
  book: readonly KnownPeer[];
  readonly #waiting = new Set<() => void>();

  constructor(settings: GatewaySettings) {
    const { book = [], keyPair = HyperDHT.keyPair(), ...rest } = settings;
    const instance = randomBytes(78);
    this.keyPair = keyPair;
    this.id = gatewayIdOf(keyPair.publicKey);
    this.book = book;
    this.transport = createTransport({
      listen: { host: LOCAL, tcpPort: 0, udpPort: 0 },
      bootstrap: [],
      peers: [],
      lan: false,
      firewalled: false,
      clock: realClock,
      timers: realTimers,
      random: Math.random,
      randomBytes,
      logger: nullLogger,
      isRefused: () => false,
      instance: () => instance,
      addressBook: {
        load: async () => this.book,
        save: async (peers) => void (this.book = peers),
      },
      ...rest,
      keyPair,
    });
    this.transport.onLink = (link) => this.#onLink(link);
  }

  get tcp(): HostPort {
    const { tcp } = this.transport.addresses;
    if (tcp === undefined) throw new Error('it does not listen');
    return tcp;
  }

  /** Resolves as soon as `condition` holds; it is looked at whenever something happens on a link. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  async linkTo(other: { readonly id: GatewayId }, path?: PeerLink['path']): Promise<PeerLink> {
    let link: PeerLink | undefined;
    await this.until(() => {
      link = this.links.get(other.id);
      return link !== undefined && (path === undefined || link.path === path);
    });
    if (link === undefined) throw new Error('unreachable');
    return link;
  }

  /** What it says about the other. */
  statusOf(other: { readonly id: GatewayId }): ReturnType<Transport['status']>['peers'][number] | undefined {
    return this.transport.status().peers.find(({ id }) => id === other.id);
  }

  #onLink(link: PeerLink): void {
    this.opened.push(link);
    this.links.set(link.peer, link);
    link.handlers = {
      onFrame: (channel, frame) => {
        const arrival = { from: link.peer, channel, frame: Buffer.from(frame) };
        this.onFrame?.(arrival);
        if (this.keepsFrames) this.frames.push(arrival);
        this.#wake();
      },
      onDatagram: (bytes) => {
        this.datagrams.push(Buffer.from(bytes).toString());
        this.#wake();
      },
      onDrain: () => {
        this.drains++;
        this.#wake();
      },
      onClose: (reason) => {
        this.closed.push({ link, reason });
        if (this.links.get(link.peer) === link) this.links.delete(link.peer);
        this.#wake();
      },
    };
    this.#wake();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

export function newSwarmKey(): SwarmKey {
  return SwarmKey.create(randomBytes);
}

export async function startGateway(t: Cleaner, settings: GatewaySettings): Promise<TestGateway> {
  const gateway = new TestGateway(settings);
  t.teardown(() => gateway.transport.stop());
  await gateway.transport.start();
  return gateway;
}

/** A hash table of its own, that nobody else joins. */
export async function startBootstrap(t: Cleaner): Promise<BootstrapNode> {
  const node = createBootstrapNode({ host: LOCAL, port: await freeUdpPort(), timers: realTimers });
  t.teardown(() => node.stop());
  await node.start();
  return node;
}

/** Both directions of every pair. */
export async function allLinked(gateways: readonly TestGateway[]): Promise<void> {
  await Promise.all(
    gateways.flatMap((one) => gateways.filter((other) => other !== one).map((other) => one.linkTo(other))),
  );
}

export { Channel };
