/**
 * Finds the other gateways of the mesh and keeps one link to each. It owns all sockets of the mesh. Long, because it is the one
 * place where the parts meet; each of its functions only passes something from one to the other.
 *
 *     --peer, address book, LAN, DHT ──▶ Neighbour (who, where; dials) ──▶ TcpPort / UdxNode (handshake)
 *                                            ▲                                    │ FrameStream
 *                          onLink ◀── PeerSlot (which one is the link) ◀── Connection (proof, frames)
 */
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import { gatewayIdOf, shortId, type GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { HandshakeSide, SwarmKey } from '../admission/swarm-key.js';
import type { PeerLink } from '../link/peer-link.js';
import { type HostPort, isAnyHost, isLoopback, type PeerAddress, showAddress, udpHostOf } from './address.js';
import { AddressBook, type AddressBookStore } from './address-book.js';
import { Connection, type ConnectionPath } from './connection.js';
import { ByeCode } from './control.js';
import { Discovery } from './discovery.js';
import type { FrameStream } from './frame-stream.js';
import { LanBeacon, type MulticastPort } from './lan-beacon.js';
import {
  CLOSE_GRACE_MS,
  DISCOVERED_MAX_COUNT,
  TICK_MS,
  UNPROVEN_MAX_COUNT,
  UNPROVEN_PER_ADDRESS_MAX_COUNT,
} from './limits.js';
import { createMulticastPort } from './multicast.js';
import { Neighbour, type PeerStatus } from './neighbour.js';
import { Reason } from './reasons.js';
import { Seed, type SeedStatus } from './seed.js';
import { type IncomingStream, TcpPort } from './tcp-port.js';
import type { TransportKeyPair } from './tcp-handshake.js';
import { remoteOf, UdxNode } from './udx-node.js';
import { UnprovenGate } from './unproven-gate.js';

export interface TransportOptions {
  readonly keyPair: TransportKeyPair;
  readonly swarmKey: SwarmKey;
  readonly listen: {
    readonly host: string;
    /** 0: any free one; undefined: it only dials. */
    readonly tcpPort: number | undefined;
    /** 0: any free one. */
    readonly udpPort: number;
  };
  /** Others are not told where it listens. */
  readonly isHidden?: boolean;
  /** First nodes of the DHT; undefined: the public ones; empty: no DHT. */
  readonly bootstrap: readonly HostPort[] | undefined;
  /** TCP addresses of members. */
  readonly peers: readonly HostPort[];
  /** Whether members on the local network are looked for; never when it listens on loopback. */
  readonly lan: boolean;
  /** false: others reach its UDP port from outside; undefined: it finds out. */
  readonly firewalled?: boolean;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  /** That nobody can guess. */
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** Whether it was evicted. Asked again and again: a link to one that is ends within TICK_MS. */
  isRefused(id: GatewayId): boolean;
  readonly addressBook: AddressBookStore;
  /** Of INSTANCE_BYTES: two processes with one key differ in it. */
  instance(): Uint8Array;
  /** Two processes with the key of another gateway, or of this one, are alive. */
  onTwin?(twins: Twins): void;
  /** Instead of multicast DNS on the machine's interfaces. */
  readonly multicast?: MulticastPort;
  /** How long a first packet over UDP is not answered again. */
  readonly handshakeMemoryMs?: number;
}

export interface Twins {
  readonly id: GatewayId;
  /** Hexadecimal digits. */
  readonly live: string;
  readonly other: string;
  /** Where the second one is, or whoever told of it. */
  readonly address: string;
}

export interface TransportStatus {
  readonly peers: readonly PeerStatus[];
  readonly seeds: readonly SeedStatus[];
  readonly dht: {
    readonly isUsed: boolean;
    readonly isBootstrapped: boolean;
    readonly nodes: number;
    readonly lastFailure: string | undefined;
  };
  /** Open ones: the links, and those of which is not decided yet whether they are. */
  readonly connections: number;
  /** Incoming connections without a proof yet, and those that were turned away because there were too many. */
  readonly unproven: { readonly now: number; readonly refused: number };
}

export interface Transport {
  /** @throws SprawlError LISTEN_FAILED */
  start(): Promise<void>;
  /** Says goodbye; takes two seconds at most. */
  stop(): Promise<void>;
  /** Where it listens, once started. */
  readonly addresses: { readonly tcp: HostPort | undefined; readonly udp: HostPort };
  /**
   * A link is there: set its handlers before returning. When it takes the place of another one of the same peer, that one's
   * `onClose` came just before, in the same turn.
   */
  onLink: ((link: PeerLink) => void) | undefined;
  /** The members that should have a link, all of them: each is tried until it has one. */
  wanted(ids: Iterable<GatewayId>): void;
  /** Where somebody says that `id` is. It is tried beside what is known, and believed when it has proved itself there. */
  hint(id: GatewayId, addresses: readonly PeerAddress[]): void;
  status(): TransportStatus;
}

export function createTransport(options: TransportOptions): Transport {
  return new MeshTransport(options);
}

class MeshTransport implements Transport {
  onLink: ((link: PeerLink) => void) | undefined;
  readonly #options: TransportOptions;
  readonly #own: GatewayId;
  readonly #book: AddressBook;
  readonly #tcp: TcpPort;
  readonly #udx: UdxNode;
  readonly #discovery: Discovery;
  readonly #lan: LanBeacon | undefined;
  readonly #seeds: readonly Seed[];
  readonly #gates: readonly UnprovenGate[];
  readonly #neighbours = new Map<GatewayId, Neighbour>();
  /** All that are open, with what to do when they are proven (undefined) or gone (why). */
  readonly #connections = new Map<Connection, (failure: string | undefined) => void>();
  #tick: TimerHandle | undefined;
  #isStopped = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#own = gatewayIdOf(options.keyPair.publicKey);
    this.#book = new AddressBook(options.addressBook, options.timers, options.logger);
    const [tcpGate, udxGate] = [createGate(), createGate()];
    this.#gates = [tcpGate, udxGate];
    this.#tcp = this.#createTcpPort(tcpGate);
    this.#udx = this.#createUdxNode(udxGate);
    this.#discovery = this.#createDiscovery();
    this.#lan = this.#createLan();
    this.#seeds = options.peers.map((address) => this.#createSeed(address));
  }

  get addresses(): Transport['addresses'] {
    const { host } = this.#options.listen;
    const tcp = this.#tcp.port === 0 ? undefined : { host, port: this.#tcp.port };
    return { tcp, udp: { host: udpHostOf(host), port: this.#udx.port } };
  }

  async start(): Promise<void> {
    await this.#book.load();
    await this.#tcp.start();
    try {
      await this.#udx.start();
    } catch (error) {
      this.#tcp.stop();
      throw error;
    }
    this.#tickLater();
    for (const seed of this.#seeds) seed.start();
    for (const id of this.#book.ids()) this.#neighbour(id);
    for (const neighbour of this.#neighbours.values()) neighbour.update();
    if (this.#udx.hasTable) this.#discovery.start();
    await this.#lan?.start();
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#tick?.cancel();
    this.#discovery.stop();
    for (const seed of this.#seeds) seed.stop();
    for (const neighbour of this.#neighbours.values()) neighbour.stop();
    this.#tcp.stopListening();
    const left = [...this.#connections.keys()];
    for (const connection of left) connection.dismiss(Reason.stopped, ByeCode.stopping);
    const closed = Promise.all(left.map((connection) => connection.closed));
    await Promise.all([this.#lan?.stop(), this.#book.flush(), Promise.race([closed, this.#grace()])]);
    await this.#udx.stop();
    this.#tcp.stop();
  }

  wanted(ids: Iterable<GatewayId>): void {
    const wanted = new Set(ids);
    for (const [id, neighbour] of this.#neighbours) neighbour.isWanted = wanted.has(id);
    for (const id of wanted) {
      const neighbour = this.#neighbour(id);
      if (neighbour === undefined) continue;
      neighbour.isWanted = true;
      if (this.#tick !== undefined) neighbour.update();
    }
    if (this.#isMissing()) this.#discovery.missing();
  }

  hint(id: GatewayId, addresses: readonly PeerAddress[]): void {
    if (this.#tick !== undefined) this.#discovered(id, addresses);
  }

  status(): TransportStatus {
    return {
      peers: [...this.#neighbours.values()].map((neighbour) => neighbour.status()),
      seeds: this.#seeds.map((seed) => seed.status()),
      dht: {
        isUsed: this.#udx.hasTable,
        isBootstrapped: this.#udx.isBootstrapped,
        nodes: this.#udx.nodes,
        lastFailure: this.#discovery.lastFailure,
      },
      connections: this.#connections.size,
      unproven: {
        now: this.#gates.reduce((sum, gate) => sum + gate.count, 0),
        refused: this.#gates.reduce((sum, gate) => sum + gate.refused, 0),
      },
    };
  }

  #createTcpPort(gate: UnprovenGate): TcpPort {
    const { listen, keyPair, swarmKey, timers } = this.#options;
    return new TcpPort({
      host: listen.host,
      port: listen.tcpPort,
      keyPair,
      preSharedKey: swarmKey.derive('transport tcp'),
      timers,
      gate,
      onStream: (incoming) => this.#accept(incoming, 'tcp'),
    });
  }

  #createUdxNode(gate: UnprovenGate): UdxNode {
    const { listen, bootstrap, firewalled, keyPair, swarmKey, clock, timers, logger, handshakeMemoryMs } =
      this.#options;
    return new UdxNode({
      host: udpHostOf(listen.host),
      port: listen.udpPort,
      bootstrap,
      firewalled,
      keyPair,
      prologue: swarmKey.derive('transport udx'),
      clock,
      timers,
      logger,
      gate,
      ...(handshakeMemoryMs === undefined ? {} : { handshakeMemoryMs }),
      onStream: (incoming) => this.#accept(incoming, 'udx'),
    });
  }

  #createDiscovery(): Discovery {
    const { swarmKey, clock, timers, random, logger } = this.#options;
    return new Discovery({
      table: this.#udx,
      topic: swarmKey.topic,
      clock,
      timers,
      random,
      logger,
      onPeer: ({ peer, addresses }) =>
        this.#discovered(
          peer,
          addresses.map((address) => ({ kind: 'udp', ...address })),
        ),
      isMissing: () => this.#isMissing(),
    });
  }

  #createLan(): LanBeacon | undefined {
    const { lan, listen, multicast, swarmKey, clock, timers, random, logger } = this.#options;
    if (!lan || (multicast === undefined && isLoopback(listen.host))) return undefined;
    return new LanBeacon({
      multicast: multicast ?? createMulticastPort(listen.host, timers),
      own: this.#own,
      secret: swarmKey.derive('transport lan'),
      clock,
      timers,
      random,
      logger,
      ports: () => ({ tcpPort: this.#tcp.port, udpPort: this.#udx.port }),
      onPeer: (peer, addresses) => this.#discovered(peer, addresses),
    });
  }

  #createSeed(address: HostPort): Seed {
    const { timers, random, logger } = this.#options;
    return new Seed(address, {
      ...{ timers, random, reach: (at, signal) => this.#reachSeed(at, signal) },
      failed: (at, why) =>
        logger.warn('no member of this mesh answers at an address of mesh.peers', { address: at, why }),
    });
  }

  /** Ready to be dialled; undefined: there are too many that nobody asked for. */
  #neighbour(id: GatewayId): Neighbour | undefined {
    const known = this.#neighbours.get(id);
    if (known !== undefined || id === this.#own) return known;
    const { clock, timers, random } = this.#options;
    const neighbour = new Neighbour(id, {
      own: this.#own,
      clock,
      timers,
      random,
      book: this.#book,
      hasTable: this.#udx.hasTable,
      isRefused: (peer) => this.#options.isRefused(peer),
      reach: (peer, address, signal) => this.#reach(peer, address, signal),
      onLink: (connection) => this.#onLink(connection),
      onLinkLost: (peer) => this.#onLinkLost(peer),
      onTwin: (live, other) =>
        this.#options.onTwin?.({
          id,
          live: live.instance,
          other: other.instance,
          address: showAddress(other.address),
        }),
    });
    if (this.#isStopped) neighbour.stop();
    this.#neighbours.set(id, neighbour);
    return neighbour;
  }

  /** Anyone may have said so. */
  #discovered(id: GatewayId, addresses: readonly PeerAddress[]): void {
    if (this.#isStopped || id === this.#own) return;
    if (!this.#neighbours.has(id) && this.#strangers() >= DISCOVERED_MAX_COUNT) return;
    this.#neighbour(id)?.hint(addresses);
  }

  #strangers(): number {
    let count = 0;
    for (const { id, isWanted } of this.#neighbours.values()) if (!isWanted && !this.#book.has(id)) count++;
    return count;
  }

  async #reach(
    peer: GatewayId,
    address: PeerAddress | undefined,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const path = address?.kind === 'tcp' ? 'tcp' : 'udx';
    const result =
      address?.kind === 'tcp'
        ? await this.#tcp.dial(address, signal)
        : await this.#udx.dial(peer, address, signal);
    if ('failure' in result) return result.failure;
    const found = peerOf(result.stream);
    if (found !== peer) {
      result.stream.destroy();
      return `refused: another gateway (${shortId(found)}) answers at ${showAddress(address ?? remoteOf(result.stream))}`;
    }
    // By UDX it may have been found elsewhere than where it was looked for.
    const at = address?.kind === 'tcp' ? address : remoteOf(result.stream);
    return await this.#prove(result.stream, path, at);
  }

  async #reachSeed(
    address: HostPort,
    signal: AbortSignal,
  ): Promise<{ readonly id: GatewayId } | { readonly failure: string }> {
    const result = await this.#tcp.dial(address, signal);
    if ('failure' in result) return result;
    const id = peerOf(result.stream);
    if (id === this.#own) {
      result.stream.destroy();
      return { failure: Reason.self };
    }
    const failure = await this.#prove(result.stream, 'tcp', address);
    return failure === undefined ? { id } : { failure };
  }

  #prove(stream: FrameStream, path: ConnectionPath, address: HostPort): Promise<string | undefined> {
    return new Promise((resolve) => this.#attach(stream, path, 'dialler', address, resolve));
  }

  #accept({ stream, address, leaveGate }: IncomingStream, path: ConnectionPath): void {
    this.#attach(stream, path, 'listener', address, leaveGate);
  }

  /** @param settle called when it is proven, or has failed */
  #attach(
    stream: FrameStream,
    path: ConnectionPath,
    side: HandshakeSide,
    address: HostPort,
    settle: (failure: string | undefined) => void,
  ): void {
    if (this.#isStopped || stream.destroying || peerOf(stream) === this.#own) {
      stream.destroy();
      settle(this.#isStopped ? Reason.stopped : Reason.ended);
      return;
    }
    const { swarmKey, clock, timers, randomBytes } = this.#options;
    const connection = new Connection(
      { stream, path, side, address },
      {
        swarmKey,
        clock,
        timers,
        randomBytes,
        introduce: () => this.#introduce(),
        isRefused: (id) => this.#options.isRefused(id),
      },
      {
        onProven: (proven) => this.#onProven(proven),
        onUse: (chosen) => this.#neighbours.get(chosen.peer)?.use(chosen),
        onToldOfTwin: ({ address }, live) => this.#toldOfTwin(live, address),
        onGone: (gone, reason, code) => this.#onGone(gone, reason, code),
      },
    );
    this.#connections.set(connection, settle);
  }

  #introduce(): { instance: Uint8Array; tcpPort: number; udpPort: number; hosts: readonly string[] } {
    const { listen, instance, isHidden } = this.#options;
    if (isHidden === true) return { instance: instance(), tcpPort: 0, udpPort: 0, hosts: [] };
    const [tcpPort, udpPort] = [this.#tcp.port, this.#udx.port];
    return { instance: instance(), tcpPort, udpPort, hosts: ownHosts(listen.host) };
  }

  #toldOfTwin(live: string, by: HostPort): void {
    const other = Buffer.from(this.#options.instance()).toString('hex');
    if (live.length !== other.length || live === other) return;
    this.#options.onTwin?.({ id: this.#own, live, other, address: `as ${showAddress(by)} says` });
  }

  #onProven(connection: Connection): void {
    this.#book.learn(connection.peer, addressesOf(connection));
    this.#connections.get(connection)?.(undefined);
    this.#neighbour(connection.peer)?.proven(connection);
  }

  #onGone(connection: Connection, reason: string, code: ByeCode): void {
    const { logger } = this.#options;
    logger.debug('a connection to a gateway ended', {
      peer: shortId(connection.peer),
      path: connection.path,
      address: connection.remoteAddress,
      why: reason,
    });
    const settle = this.#connections.get(connection);
    this.#connections.delete(connection);
    settle?.(reason);
    this.#neighbours.get(connection.peer)?.gone(connection, reason, code);
  }

  #onLink(connection: Connection): void {
    this.#options.logger.debug('linked to a gateway', {
      peer: shortId(connection.peer),
      path: connection.path,
      address: connection.remoteAddress,
    });
    this.onLink?.(connection);
  }

  #onLinkLost(peer: GatewayId): void {
    if (this.#isStopped) return;
    for (const seed of this.#seeds) seed.linkLost(peer);
    if (this.#neighbours.get(peer)?.isWanted === true) this.#discovery.missing();
  }

  #isMissing(): boolean {
    for (const { id, isWanted, live } of this.#neighbours.values()) {
      if (isWanted && live === undefined && !this.#options.isRefused(id)) return true;
    }
    return false;
  }

  #tickLater(): void {
    this.#tick = this.#options.timers.after(TICK_MS, () => {
      for (const connection of [...this.#connections.keys()]) connection.tick();
      for (const neighbour of [...this.#neighbours.values()]) this.#tidy(neighbour);
      if (!this.#isStopped) this.#tickLater();
    });
  }

  #tidy(neighbour: Neighbour): void {
    if (this.#options.isRefused(neighbour.id)) {
      this.#book.forget(neighbour.id);
      neighbour.update();
    } else if (neighbour.isForgettable) {
      neighbour.stop();
      this.#neighbours.delete(neighbour.id);
    }
  }

  #grace(): Promise<void> {
    return new Promise((resolve) => void this.#options.timers.after(CLOSE_GRACE_MS, resolve));
  }
}

function createGate(): UnprovenGate {
  return new UnprovenGate(UNPROVEN_MAX_COUNT, UNPROVEN_PER_ADDRESS_MAX_COUNT);
}

function peerOf(stream: FrameStream): GatewayId {
  return gatewayIdOf(stream.remotePublicKey ?? new Uint8Array(0));
}

/** Where a proven connection shows that its other end is, the surest first. */
function addressesOf(connection: Connection): PeerAddress[] {
  const { introduction, side, path, address } = connection;
  const dialled: PeerAddress[] =
    side === 'dialler'
      ? [{ kind: path === 'tcp' ? 'tcp' : 'udp', host: address.host, port: address.port }]
      : [];
  if (introduction === undefined) return dialled;
  // Numbers only: nobody makes this gateway look up names.
  const hosts = [address.host, ...introduction.hosts.filter((host) => isIP(host) !== 0)];
  const { tcpPort, udpPort } = introduction;
  return [
    ...dialled,
    ...hosts.map((host): PeerAddress => ({ kind: 'tcp', host, port: tcpPort })),
    ...hosts.map((host): PeerAddress => ({ kind: 'udp', host, port: udpPort })),
  ];
}

/** What others on the same network may dial. */
export function ownHosts(listenHost: string): readonly string[] {
  if (isLoopback(listenHost)) return [];
  if (!isAnyHost(listenHost)) return [listenHost];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
}
