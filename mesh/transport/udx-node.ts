/**
 * This gateway's node of the distributed hash table, and the connections over it: UDP, through firewalls where need be.
 *
 * Used as it comes, any stranger who knows the public key gets a connection. So the Noise prologue of every handshake is a
 * secret of the swarm key: a stranger's first packet cannot be decrypted and gets no answer, and those who relay handshakes
 * cannot compute anything from what they see. It rests on an undocumented option (`createHandshake`) and a deep import:
 * the versions of hyperdht and what belongs to it are exact, and a test counts the bytes that a stranger gets.
 */
import HyperDHT, { type HostPort, type KeyPair, type Query, type Server } from 'hyperdht';
import NoiseWrap from 'hyperdht/lib/noise-wrap.js';
import curve from 'noise-curve-ed';
import Noise from 'noise-handshake';
import type { Logger } from '../../lib/contracts/logger.js';
import { type GatewayId, gatewayIdOf, publicKeyOf } from '../../lib/contracts/gateway-id.js';
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import { plainHost } from './address.js';
import { FrameStream, type RawStream } from './frame-stream.js';
import { CLOSE_GRACE_MS, KEEP_ALIVE_MS, RANDOM_PUNCH_TIMEOUT_MS, UDX_DIAL_TIMEOUT_MS } from './limits.js';
import { RandomPunches } from './random-punches.js';
import { Reason, reasonThroughRouters, type RouterSeen } from './reasons.js';
import { type DialResult, type IncomingStream, listenFailed } from './tcp-port.js';
import { requireUdpPort, UDP_PORT } from './udp-port.js';
import type { TransportKeyPair } from './tcp-handshake.js';
import type { UnprovenGate } from './unproven-gate.js';

export interface UdxNodeOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** undefined: the public ones; empty: no table, connections by address only. */
  readonly bootstrap: readonly HostPort[] | undefined;
  /** false: others reach this node without help. undefined: it finds out. */
  readonly firewalled: boolean | undefined;
  readonly keyPair: TransportKeyPair;
  /** Secret. */
  readonly prologue: Uint8Array;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly gate: UnprovenGate;
  /** How long an answered first packet is remembered and not answered again. hyperdht has 10 s. */
  readonly handshakeMemoryMs?: number;
  onStream(incoming: IncomingStream): void;
}

export interface FoundPeer {
  readonly peer: GatewayId;
  readonly addresses: readonly HostPort[];
}

/** Of a dial, by the hash table or by an address. */
interface Attempt {
  failure: string | undefined;
  /** Ports are tried at random. */
  isRandom: boolean;
  /** So long from now. */
  giveTime(ms: number): void;
}

/** FIREWALL.RANDOM of hyperdht. */
const RANDOM_PORTS = 3;

const nothing = (): void => {};

export class UdxNode {
  readonly #options: UdxNodeOptions;
  readonly #keyPair: KeyPair;
  readonly #own: GatewayId;
  readonly #randomPunches: RandomPunches;
  #dht: HyperDHT | undefined;
  #server: Server | undefined;
  port = 0;

  constructor(options: UdxNodeOptions) {
    this.#options = options;
    const { publicKey, secretKey } = options.keyPair;
    this.#keyPair = { publicKey: Buffer.from(publicKey), secretKey: Buffer.from(secretKey) };
    this.#own = gatewayIdOf(publicKey);
    this.#randomPunches = new RandomPunches(this.#own, options.clock);
  }

  get hasTable(): boolean {
    return this.#options.bootstrap?.length !== 0;
  }

  get isBootstrapped(): boolean {
    return this.hasTable && this.#dht?.bootstrapped === true && this.nodes > 0;
  }

  /** Others do not reach it without help, as far as it has found out. */
  get isFirewalled(): boolean {
    return this.#dht?.firewalled !== false;
  }

  get nodes(): number {
    return this.#dht?.toArray().length ?? 0;
  }

  /** Returns when connections by address are possible; the table is joined meanwhile. @throws SprawlError LISTEN_FAILED */
  async start(): Promise<void> {
    const { host, bootstrap, firewalled } = this.#options;
    const port = await requireUdpPort({ host, port: this.#options.port });
    const dht = new HyperDHT({
      host,
      port,
      anyPort: this.#options.port === 0,
      keyPair: this.#keyPair,
      connectionKeepAlive: KEEP_ALIVE_MS,
      ...(bootstrap === undefined ? {} : { bootstrap }),
      ...(firewalled === undefined ? {} : { firewalled }),
    });
    dht.on('error', nothing);
    try {
      await dht.bind();
    } catch (cause) {
      void dht.destroy({ force: true }).catch(nothing);
      throw listenFailed({ host, port }, UDP_PORT, cause);
    }
    this.#dht = dht;
    this.port = dht.localAddress()?.port ?? port;
    this.#listen(dht);
  }

  /** Gives it CLOSE_GRACE_MS to say goodbye: with the table gone that would take 2 s. */
  async stop(): Promise<void> {
    const dht = this.#dht;
    if (dht === undefined) return;
    this.#dht = undefined;
    const graceful = dht.destroy().catch(nothing);
    const isDone = await Promise.race([graceful.then(() => true), this.#after(CLOSE_GRACE_MS)]);
    if (isDone) return;
    await Promise.race([dht.destroy({ force: true }).catch(nothing), this.#after(CLOSE_GRACE_MS)]);
  }

  /** Never rejects. @param address one and no more: of several the library tries the next only when the first answers. undefined: by the table */
  dial(peer: GatewayId, address: HostPort | undefined, signal: AbortSignal): Promise<DialResult> {
    const dht = this.#dht;
    if (dht === undefined || dht.destroyed || signal.aborted) {
      return Promise.resolve({ failure: Reason.aborted });
    }
    const attempt: Attempt = { failure: undefined, isRandom: false, giveTime: nothing };
    const stream = dht.connect(Buffer.from(publicKeyOf(peer)), {
      keyPair: this.#keyPair,
      createHandshake: this.#createHandshake,
      createSecretStream,
      holepunch: (...routers) => this.#mayPunch(peer, routers, attempt),
      ...(address === undefined ? {} : { relayAddresses: [{ host: address.host, port: address.port }] }),
    });
    const opened = this.#opened(asFrameStream(stream), address ?? 'the DHT', attempt, signal);
    return opened.then((result) => {
      if (attempt.isRandom) this.#randomPunches.ended(peer, 'stream' in result);
      return result;
    });
  }

  /** Both routers are known. */
  #mayPunch(peer: GatewayId, routers: readonly number[], attempt: Attempt): boolean {
    if (!routers.includes(RANDOM_PORTS)) return true;
    const refusal = this.#randomPunches.begin(peer);
    if (refusal !== undefined) {
      attempt.failure = refusal;
      return false;
    }
    attempt.isRandom = true;
    attempt.giveTime(RANDOM_PUNCH_TIMEOUT_MS);
    return true;
  }

  /** Says under `topic` that this gateway is there; what it meets on the way. Rejects when the table cannot be reached. */
  async announce(topic: Uint8Array, onPeer: (found: FoundPeer) => void): Promise<void> {
    if (this.#dht === undefined) return;
    void this.#lookAtReach(this.#dht);
    const addresses = this.#server?.relayAddresses ?? [];
    await this.#read(this.#dht.announce(Buffer.from(topic), this.#keyPair, addresses), onPeer);
  }

  /**
   * Whether others reach this gateway without help. hyperdht asks once at its start, and only where some node answers before the last
   * one has: never where there is one node; then again after 20 minutes.
   */
  async #lookAtReach(dht: HyperDHT): Promise<void> {
    await dht.fullyBootstrapped();
    // oxlint-disable-next-line eslint/no-underscore-dangle
    if (this.#options.firewalled === undefined && dht.firewalled) await dht._updateNetworkState(true);
  }

  async lookup(topic: Uint8Array, onPeer: (found: FoundPeer) => void): Promise<void> {
    if (this.#dht !== undefined) await this.#read(this.#dht.lookup(Buffer.from(topic)), onPeer);
  }

  async #read(query: Query, onPeer: (found: FoundPeer) => void): Promise<void> {
    for await (const { peers } of query) {
      for (const { publicKey, relayAddresses } of peers) {
        const peer = gatewayIdOf(publicKey);
        if (peer !== this.#own) onPeer({ peer, addresses: relayAddresses });
      }
    }
    // Announcements leave when the search has ended.
    await query.finished();
  }

  #listen(dht: HyperDHT): void {
    const clearWait = this.#options.handshakeMemoryMs;
    const server = dht.createServer(
      {
        // true: no answer at all.
        firewall: (key, _payload, from) =>
          gatewayIdOf(key) === this.#own || !this.#options.gate.hasRoom(plainHost(from.host)),
        createHandshake: this.#createHandshake,
        createSecretStream,
        ...(clearWait === undefined ? {} : { handshakeClearWait: clearWait }),
      },
      (stream) => this.#accept(asFrameStream(stream)),
    );
    this.#server = server;
    server.listen(this.#keyPair).catch((cause: unknown) => {
      if (!dht.destroyed) this.#options.logger.warn('the DHT node does not listen', { why: String(cause) });
    });
  }

  #accept(stream: FrameStream): void {
    stream.on('error', nothing);
    const address = remoteOf(stream);
    const leaveGate = this.#options.gate.enter(address.host);
    if (leaveGate === undefined) stream.destroy();
    else this.#options.onStream({ stream, address, leaveGate });
  }

  #opened(
    stream: FrameStream,
    where: HostPort | string,
    attempt: Attempt,
    signal: AbortSignal,
  ): Promise<DialResult> {
    return new Promise((resolve) => {
      let timer: TimerHandle | undefined;
      attempt.giveTime = (ms) => {
        timer?.cancel();
        timer = this.#options.timers.after(ms, () => {
          attempt.failure ??= `timeout: no answer within ${ms / 1000} s`;
          stream.destroy();
        });
      };
      attempt.giveTime(UDX_DIAL_TIMEOUT_MS);
      const abort = (): void => stream.destroy();
      const settle = (result: DialResult): void => {
        timer?.cancel();
        signal.removeEventListener('abort', abort);
        stream.off('close', onClose);
        resolve(result);
      };
      const onClose = (): void =>
        settle({ failure: signal.aborted ? Reason.aborted : (attempt.failure ?? Reason.ended) });
      stream.on(
        'error',
        (error: Error) => (attempt.failure ??= reasonThroughRouters(error, where, this.#routerSeen())),
      );
      stream.on('close', onClose);
      stream.once('open', () => settle({ stream }));
      signal.addEventListener('abort', abort);
    });
  }

  #routerSeen(): RouterSeen {
    return { observers: this.nodes, isRandom: this.#dht?.randomized === true };
  }

  readonly #createHandshake = (keyPair: KeyPair, remotePublicKey: Buffer | null): NoiseWrap => {
    const wrap = new NoiseWrap(keyPair, remotePublicKey);
    wrap.handshake = new Noise('IK', wrap.isInitiator, keyPair, { curve });
    wrap.handshake.initialise(Buffer.from(this.#options.prologue), remotePublicKey);
    return wrap;
  };

  #after(ms: number): Promise<false> {
    return new Promise((resolve) => void this.#options.timers.after(ms, () => resolve(false)));
  }
}

/** Where the other end of an open stream is. */
export function remoteOf(stream: FrameStream): HostPort {
  const raw = stream.rawStream;
  return { host: plainHost(raw?.remoteHost ?? raw?.remoteAddress), port: raw?.remotePort ?? 0 };
}

function createSecretStream(
  isInitiator: boolean,
  raw: RawStream | null,
  options: ConstructorParameters<typeof FrameStream>[2],
): FrameStream {
  return new FrameStream(isInitiator, raw, options);
}

/** `createSecretStream` made it. */
function asFrameStream(stream: object): FrameStream {
  if (!(stream instanceof FrameStream)) throw new TypeError('hyperdht made a stream of its own');
  return stream;
}
