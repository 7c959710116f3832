/**
 * Members on the same local network find each other without any server: multicast DNS (RFC 6762), as printers do. The name
 * asked for is made from the swarm key, so that only members know what to ask, and only members answer:
 *
 *     question   PTR  <32 hexadecimal digits>._sprawl-edge._tcp.local
 *     answer     PTR  <first 16 digits of the key>.<32 digits>._sprawl-edge._tcp.local
 *                TXT  of that name: k=<public key> t=<TCP port> u=<UDP port>
 *
 * Whoever hears it may say the same: an answer is only a hint where to dial, the handshake decides.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { parseGatewayId } from '../../lib/contracts/gateway-id.js';
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { isPort, type PeerAddress } from './address.js';
import { LAN_ANSWER_JITTER_MS, LAN_ANSWER_SOONEST_MS, LAN_QUERY_EVERY_MS, LAN_QUERY_MS } from './limits.js';

const SERVICE = '_sprawl-edge._tcp.local';
const NAME_BYTES = 16;
const TTL_S = 120;
const TEXTS_MAX_COUNT = 16;

export interface LanRecord {
  readonly name: string;
  readonly type: 'PTR' | 'TXT';
  readonly ttl: number;
  readonly data: string | readonly string[];
}

export interface LanPacket {
  /** Names of PTR questions. */
  readonly questions: readonly string[];
  /** Texts of TXT records, by name. */
  readonly texts: readonly { readonly name: string; readonly texts: readonly string[] }[];
}

/** Multicast on the local network. */
export interface MulticastPort {
  /**
   * Rejects when there is no multicast.
   * @param onPacket of anyone, also of this gateway itself
   * @param onNetwork this machine is on another network now, or on one more
   */
  open(onPacket: (packet: LanPacket, fromHost: string) => void, onNetwork: () => void): Promise<void>;
  query(name: string): void;
  respond(records: readonly LanRecord[]): void;
  close(): Promise<void>;
}

export interface LanBeaconOptions {
  readonly multicast: MulticastPort;
  readonly own: GatewayId;
  /** Of the swarm key, for this. */
  readonly secret: Uint8Array;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: () => number;
  readonly logger: Logger;
  ports(): { readonly tcpPort: number; readonly udpPort: number };
  onPeer(peer: GatewayId, addresses: readonly PeerAddress[]): void;
}

export class LanBeacon {
  readonly #options: LanBeaconOptions;
  readonly #name: string;
  #query: TimerHandle | undefined;
  #answer: TimerHandle | undefined;
  #answeredMs = Number.NEGATIVE_INFINITY;
  #round = 0;
  #isOpen = false;

  constructor(options: LanBeaconOptions) {
    this.#options = options;
    this.#name = `${Buffer.from(options.secret).subarray(0, NAME_BYTES).toString('hex')}.${SERVICE}`;
  }

  /** Without multicast the gateway goes on without this. */
  async start(): Promise<void> {
    try {
      await this.#options.multicast.open(
        (packet, fromHost) => this.#onPacket(packet, fromHost),
        () => this.#onNetwork(),
      );
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.#options.logger.warn('gateways on the local network are not looked for: no multicast', { why });
      return;
    }
    this.#isOpen = true;
    this.#introduce();
  }

  async stop(): Promise<void> {
    this.#query?.cancel();
    this.#answer?.cancel();
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#options.multicast.close();
  }

  /** Says that it is there, and asks who else is: often at first. */
  #introduce(): void {
    this.#query?.cancel();
    this.#round = 0;
    this.#respond();
    this.#ask();
  }

  #onNetwork(): void {
    if (this.#isOpen) this.#introduce();
  }

  #ask(): void {
    this.#options.multicast.query(this.#name);
    const next = LAN_QUERY_MS[++this.#round] ?? LAN_QUERY_EVERY_MS;
    this.#query = this.#options.timers.after(next * (1 + this.#options.random() / 4), () => this.#ask());
  }

  #onPacket(packet: LanPacket, fromHost: string): void {
    if (!this.#isOpen) return;
    if (packet.questions.some((name) => name.toLowerCase() === this.#name)) this.#respondSoon();
    for (const { name, texts } of packet.texts) {
      if (name.toLowerCase().endsWith(`.${this.#name}`)) this.#onTexts(texts, fromHost);
    }
  }

  #onTexts(texts: readonly string[], host: string): void {
    const values = new Map(texts.slice(0, TEXTS_MAX_COUNT).map((text) => [text.slice(0, 2), text.slice(2)]));
    const peer = parseGatewayId(values.get('k=') ?? '');
    if (peer === undefined || peer === this.#options.own) return;
    const addresses: PeerAddress[] = [
      { kind: 'tcp', host, port: Number(values.get('t=')) },
      { kind: 'udp', host, port: Number(values.get('u=')) },
    ];
    this.#options.onPeer(
      peer,
      addresses.filter(({ port }) => isPort(port)),
    );
  }

  #respondSoon(): void {
    if (this.#answer !== undefined) return;
    const { clock, timers, random } = this.#options;
    const rest = this.#answeredMs + LAN_ANSWER_SOONEST_MS - clock.now();
    this.#answer = timers.after(Math.max(0, rest) + random() * LAN_ANSWER_JITTER_MS, () => {
      this.#answer = undefined;
      this.#respond();
    });
  }

  #respond(): void {
    const { own, multicast, clock, ports } = this.#options;
    const { tcpPort, udpPort } = ports();
    const instance = `${own.slice(0, 16)}.${this.#name}`;
    this.#answeredMs = clock.now();
    multicast.respond([
      { name: this.#name, type: 'PTR', ttl: TTL_S, data: instance },
      { name: instance, type: 'TXT', ttl: TTL_S, data: [`k=${own}`, `t=${tcpPort}`, `u=${udpPort}`] },
    ]);
  }
}
