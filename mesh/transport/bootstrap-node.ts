/** `sprawl-edge bootstrap`: the first node of a closed network's hash table. It is asked who is where; no message passes it. */
import { isIPv4 } from 'node:net';
import HyperDHT from 'hyperdht';
import type { Timers } from '../../lib/contracts/clock.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import { type HostPort, isAnyHost } from './address.js';
import { CLOSE_GRACE_MS } from './limits.js';
import { listenFailed } from './tcp-port.js';
import { requireUdpPort } from './udp-port.js';

export interface BootstrapNodeOptions {
  /** The IPv4 address under which the gateways reach it: it tells it to them. */
  readonly host: string;
  readonly port: number;
  /** Where the socket is opened; `host` unless the machine itself has another address. */
  readonly listenHost?: string;
  readonly timers: Timers;
}

export interface BootstrapNode {
  /** What the gateways are given. */
  readonly address: HostPort;
  /** @throws SprawlError LISTEN_FAILED */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Gateways that it knows of. */
  readonly nodes: number;
}

/** @throws SprawlError BOOTSTRAP_ADDRESS_INVALID */
export function createBootstrapNode(options: BootstrapNodeOptions): BootstrapNode {
  const { host, port, listenHost = host, timers } = options;
  requireAddress(host, port);
  let dht: HyperDHT | undefined;
  return {
    address: { host, port },
    async start() {
      await requireUdpPort({ host: listenHost, port });
      const node = HyperDHT.bootstrapper(port, host, { host: listenHost });
      node.on('error', () => {});
      try {
        await node.bind();
      } catch (cause) {
        void node.destroy({ force: true }).catch(() => {});
        throw listenFailed({ host: listenHost, port }, cause);
      }
      dht = node;
      await node.fullyBootstrapped();
    },
    async stop() {
      const node = dht;
      dht = undefined;
      if (node === undefined) return;
      const grace = new Promise<void>((resolve) => void timers.after(CLOSE_GRACE_MS, resolve));
      await Promise.race([node.destroy({ force: true }).catch(() => {}), grace]);
    },
    get nodes() {
      return dht?.toArray().length ?? 0;
    },
  };
}

function requireAddress(host: string, port: number): void {
  if (isAnyHost(host)) {
    throw invalid(
      `${host} is no address that gateways can reach; give the IPv4 address of this machine, such as 192.168.1.5`,
    );
  }
  if (!isIPv4(host))
    throw invalid(`${JSON.stringify(host)} is no IPv4 address; the hash table knows no names and no IPv6`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalid(`${port} is no port; gateways have to know it in advance, so give one from 1 to 65535`);
  }
}

function invalid(why: string): SprawlError {
  return new SprawlError('BOOTSTRAP_ADDRESS_INVALID', `the bootstrap node cannot have this address: ${why}`);
}
