/**
 * Multicast DNS on each network that this machine is on. One socket; it joins the group on every interface and sends through each of
 * them by name. Left to the routing table, packets would go out by one network only, and by none where there is no default route.
 */
import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import multicastDns, { type DnsPacket, type DnsRecord, type MulticastDns } from 'multicast-dns';
import type { TimerHandle, Timers } from '../../lib/contracts/clock.js';
import { isAnyHost } from './address.js';
import type { LanPacket, MulticastPort } from './lan-beacon.js';
import { LAN_INTERFACES_EVERY_MS, LAN_INTERFACES_MAX_COUNT } from './limits.js';

/** Of multicast DNS, at port 5353 (RFC 6762 section 3). */
const GROUP = '224.0.0.251';
/** RFC 6762 section 11. */
const TTL = 255;
const RECORDS_MAX_COUNT = 64;

export interface LanInterface {
  readonly name: string;
  /** IPv4. */
  readonly address: string;
}

/**
 * @param host that the gateway listens on: only the network of that one
 * @param interfaces asked again and again: networks come and go
 */
export function createMulticastPort(
  host: string,
  timers: Timers,
  interfaces: () => readonly LanInterface[] = lanInterfaces,
): MulticastPort {
  return new InterfacesPort(timers, () =>
    isAnyHost(host) ? interfaces().slice(0, LAN_INTERFACES_MAX_COUNT) : [{ name: host, address: host }],
  );
}

/** One for each interface that leads out of this machine; where there is none, loopback. */
export function lanInterfaces(): LanInterface[] {
  const found = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) => {
    const first = addresses.find(({ family }) => family === 'IPv4');
    return first === undefined ? [] : [{ name, address: first.address, internal: first.internal }];
  });
  const outward = found.filter(({ internal }) => !internal);
  return (outward.length > 0 ? outward : found).map(({ name, address }) => ({ name, address }));
}

class InterfacesPort implements MulticastPort {
  readonly #timers: Timers;
  readonly #interfaces: () => readonly LanInterface[];
  #opened: Opened | undefined;
  /** Of the opened one, as text. */
  #networks = '';
  #look: TimerHandle | undefined;
  #onPacket: (packet: LanPacket, fromHost: string) => void = () => {};
  #onNetwork: () => void = () => {};
  #isClosed = false;

  constructor(timers: Timers, interfaces: () => readonly LanInterface[]) {
    this.#timers = timers;
    this.#interfaces = interfaces;
  }

  async open(onPacket: (packet: LanPacket, fromHost: string) => void, onNetwork: () => void): Promise<void> {
    this.#onPacket = onPacket;
    this.#onNetwork = onNetwork;
    await this.#reopen(this.#interfaces());
    this.#lookLater();
  }

  query(name: string): void {
    this.#opened?.send((mdns, done) => mdns.query({ questions: [{ name, type: 'PTR' }] }, done));
  }

  respond(records: Parameters<MulticastPort['respond']>[0]): void {
    this.#opened?.send((mdns, done) => mdns.respond({ answers: [...records] }, done));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#look?.cancel();
    await this.#opened?.close();
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    this.#look = this.#timers.after(LAN_INTERFACES_EVERY_MS, () => {
      void this.#follow().then(() => this.#lookLater());
    });
  }

  /** A network that is new, or one that was away and is back under its old name. */
  async #follow(): Promise<void> {
    const now = this.#interfaces();
    const isOther = showNetworks(now) !== this.#networks;
    if (!isOther && this.#opened?.join() !== true) return;
    try {
      // A new socket: a member of a group on an interface that is gone cannot leave it, and a socket has few memberships.
      if (isOther) await this.#reopen(now);
      if (!this.#isClosed) this.#onNetwork();
    } catch {
      // Another program took the port meanwhile: the old socket, if there is one, goes on.
    }
  }

  async #reopen(interfaces: readonly LanInterface[]): Promise<void> {
    const old = this.#opened;
    const opened = await Opened.open(interfaces, this.#onPacket);
    if (this.#isClosed) return opened.close();
    this.#opened = opened;
    this.#networks = showNetworks(interfaces);
    await old?.close();
  }
}

function showNetworks(interfaces: readonly LanInterface[]): string {
  return interfaces.map(({ name, address }) => `${name} ${address}`).join(', ');
}

/** Calls `done` when the packet has left, or has not. */
type Sending = (mdns: MulticastDns, done: () => void) => void;

/** The socket, for as long as the interfaces stay the same. */
class Opened {
  readonly #socket: Socket;
  readonly #mdns: MulticastDns;
  readonly #interfaces: readonly LanInterface[];
  /** One packet after the other: through which interface it leaves belongs to the socket. */
  #sending: Promise<void> = Promise.resolve();

  private constructor(socket: Socket, mdns: MulticastDns, interfaces: readonly LanInterface[]) {
    this.#socket = socket;
    this.#mdns = mdns;
    this.#interfaces = interfaces;
  }

  /** Rejects when the port cannot be had. */
  static async open(
    interfaces: readonly LanInterface[],
    onPacket: (packet: LanPacket, fromHost: string) => void,
  ): Promise<Opened> {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    // Bound to the address of an interface a socket hears nothing that is sent to the group.
    const mdns = multicastDns({ socket, multicast: false, bind: '0.0.0.0' });
    mdns.on('warning', () => {});
    mdns.on('packet', (packet: DnsPacket, from: { address: string }) =>
      onPacket(parsePacket(packet), from.address),
    );
    await new Promise<void>((resolve, reject) => {
      mdns.once('error', reject);
      mdns.once('ready', () => {
        mdns.off('error', reject);
        mdns.on('error', () => {});
        resolve();
      });
    });
    socket.setMulticastTTL(TTL);
    socket.setMulticastLoopback(true);
    const opened = new Opened(socket, mdns, interfaces);
    opened.join();
    return opened;
  }

  /** Where it is not a member of the group. @returns whether there was such an interface, and it is a member now */
  join(): boolean {
    let hasJoined = false;
    for (const { address } of this.#interfaces) {
      try {
        this.#socket.addMembership(GROUP, address);
        hasJoined = true;
      } catch {
        // It is a member already, or the interface has no multicast, or has just gone.
      }
    }
    return hasJoined;
  }

  send(message: Sending): void {
    this.#sending = this.#sending.then(async () => {
      // One after the other, see `sending`.
      // eslint-disable-next-line no-await-in-loop
      for (const { address } of this.#interfaces) await this.#sendThrough(address, message);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#mdns.destroy(resolve));
  }

  async #sendThrough(address: string, message: Sending): Promise<void> {
    try {
      this.#socket.setMulticastInterface(address);
    } catch {
      return; // It has just gone, or the socket is closed.
    }
    // Whether it went: the next one is sent anyway.
    await new Promise<void>((resolve) => message(this.#mdns, () => resolve()));
  }
}

/** What concerns us of a packet that anyone may have sent. */
export function parsePacket(packet: DnsPacket): LanPacket {
  const questions = (packet.questions ?? []).slice(0, RECORDS_MAX_COUNT);
  const records = [...(packet.answers ?? []), ...(packet.additionals ?? [])].slice(0, RECORDS_MAX_COUNT);
  return {
    questions: questions.filter(({ type }) => type === 'PTR' || type === 'ANY').map(({ name }) => name),
    texts: records
      .filter(({ type }) => type === 'TXT')
      .map((record) => ({ name: record.name, texts: textsOf(record) })),
  };
}

function textsOf({ data }: DnsRecord): string[] {
  const parts: readonly unknown[] = Array.isArray(data) ? data : [data];
  return parts
    .filter((part) => typeof part === 'string' || part instanceof Uint8Array)
    .map((part) => (typeof part === 'string' ? part : Buffer.from(part).toString('utf8')));
}
