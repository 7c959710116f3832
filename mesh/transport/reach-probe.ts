/** What the nodes of a hash table see of this machine: whether they reach it, and under which addresses. Announces nothing. */
import HyperDHT from 'hyperdht';
import type { Timers } from '../../lib/contracts/clock.js';
import { type HostPort, showAddress, udpHostOf } from './address.js';
import { CLOSE_GRACE_MS } from './limits.js';
import { listenFailed } from './tcp-port.js';
import { requireUdpPort, UDP_PORT } from './udp-port.js';

export interface ReachProbeOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** undefined: the public ones. */
  readonly bootstrap: readonly HostPort[] | undefined;
  readonly timeoutMs: number;
  readonly timers: Timers;
}

export interface ReachFound {
  /** That it listened on, which is not the one that it asks from. */
  readonly port: number;
  /** Nodes that it got to know. */
  readonly nodes: number;
  /** Machines that said where they see this one. */
  readonly observers: number;
  /** Where they see it: `HOST:PORT`, each once. */
  readonly seenAt: readonly string[];
  /** They cannot reach it without help; undefined: it could not be found out in time. */
  readonly isFirewalled: boolean | undefined;
}

/** So many are asked; with three machines it is told whether a router gives each a port of its own. */
const OBSERVERS_MAX_COUNT = 8;

const nothing = (): void => {};

/** Ends within `timeoutMs` and the grace of closing. @throws SprawlError LISTEN_FAILED */
export async function probeReach(options: ReachProbeOptions): Promise<ReachFound> {
  const { bootstrap, timeoutMs, timers } = options;
  const host = udpHostOf(options.host);
  const port = await requireUdpPort({ host, port: options.port });
  const dht = new HyperDHT({
    ...{ host, port, anyPort: options.port === 0, ephemeral: true },
    ...(bootstrap === undefined ? {} : { bootstrap }),
  });
  dht.on('error', nothing);
  const after = (ms: number): Promise<void> => new Promise((resolve) => void timers.after(ms, resolve));
  try {
    await dht.bind();
    const look = new Look(dht, port);
    await Promise.race([look.run().catch(nothing), after(timeoutMs)]);
    return look.found;
  } catch (cause) {
    throw listenFailed({ host, port }, UDP_PORT, cause);
  } finally {
    await Promise.race([dht.destroy({ force: true }).catch(nothing), after(CLOSE_GRACE_MS)]);
  }
}

/** What is known whenever time is up. */
class Look {
  readonly #dht: HyperDHT;
  readonly #port: number;
  readonly #observers = new Set<string>();
  readonly #seenAt = new Set<string>();
  #isFirewalled: boolean | undefined;

  constructor(dht: HyperDHT, port: number) {
    this.#dht = dht;
    this.#port = port;
  }

  get found(): ReachFound {
    return {
      port: this.#port,
      nodes: this.#dht.toArray().length,
      observers: this.#observers.size,
      seenAt: [...this.#seenAt],
      isFirewalled: this.#isFirewalled,
    };
  }

  async run(): Promise<void> {
    await this.#dht.fullyBootstrapped();
    const nodes = this.#dht.toArray().slice(0, OBSERVERS_MAX_COUNT);
    await Promise.all(nodes.map((node) => this.#ask(node).catch(nothing)));
    if (this.#observers.size === 0) return;
    // What hyperdht found out while it started is a matter of which answer came first. Versions are exact, and a test sees a change.
    // oxlint-disable-next-line eslint/no-underscore-dangle
    this.#isFirewalled = this.#dht.firewalled && (await this.#dht._checkIfFirewalled());
  }

  async #ask(node: HostPort): Promise<void> {
    const { from, to } = await this.#dht.ping(node);
    this.#observers.add(from.host);
    this.#seenAt.add(showAddress(to));
  }
}
