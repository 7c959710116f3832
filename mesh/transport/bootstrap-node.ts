/** `sprawl-edge bootstrap`: the first nodes of a closed network's hash table. They are asked who is where; no message passes them. */
import { isIPv4 } from 'node:net';
import HyperDHT from 'hyperdht';
import type { Timers } from '../../lib/contracts/clock.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import { type HostPort, isAnyHost } from './address.js';
import { CLOSE_GRACE_MS } from './limits.js';
import { listenFailed } from './tcp-port.js';
import { BOOTSTRAP_PORT, requireUdpPort } from './udp-port.js';

const PORT_MAX = 65_535;

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

/**
 * A gateway finds out what the router before it does with ports from where three nodes see it (the NAT sampling of hyperdht): so that
 * one machine is enough for that.
 */
const NODES_COUNT = 3;

/** @throws SprawlError BOOTSTRAP_ADDRESS_INVALID */
export function createBootstrapNode(options: BootstrapNodeOptions): BootstrapNode {
  const { host, port, listenHost = host, timers } = options;
  requireAddress(host, port);
  let nodes: readonly HyperDHT[] = [];
  return {
    address: { host, port },
    async start() {
      const started: HyperDHT[] = [];
      const addresses: HostPort[] = [];
      try {
        for (let i = 0; i < NODES_COUNT; i++) {
          // eslint-disable-next-line no-await-in-loop
          const own = await (i === 0
            ? requireUdpPort({ host: listenHost, port }, BOOTSTRAP_PORT)
            : nearPort(listenHost, port + i));
          // eslint-disable-next-line no-await-in-loop
          started.push(await startNode({ host, port: own }, listenHost));
          addresses.push({ host, port: own });
        }
      } catch (cause) {
        await destroyAll(started, timers);
        throw cause;
      }
      // They know each other, so that whoever asks one is told of all.
      for (const [i, node] of started.entries())
        for (const [j, address] of addresses.entries()) if (i !== j) node.addNode(address);
      nodes = started;
    },
    async stop() {
      const left = nodes;
      nodes = [];
      await destroyAll(left, timers);
    },
    get nodes() {
      const [first] = nodes;
      return first === undefined ? 0 : first.toArray().length - (nodes.length - 1);
    },
  };
}

/** @throws SprawlError LISTEN_FAILED */
async function startNode({ host, port }: HostPort, listenHost: string): Promise<HyperDHT> {
  const node = HyperDHT.bootstrapper(port, host, { host: listenHost });
  node.on('error', () => {});
  try {
    await node.bind();
  } catch (cause) {
    void node.destroy({ force: true }).catch(() => {});
    throw listenFailed({ host: listenHost, port }, BOOTSTRAP_PORT, cause);
  }
  await node.fullyBootstrapped();
  return node;
}

/** That one where it is free, so that a firewall can be opened for it; else any. @throws SprawlError LISTEN_FAILED */
async function nearPort(host: string, port: number): Promise<number> {
  const wished = port > PORT_MAX ? 0 : port;
  return requireUdpPort({ host, port: wished }).catch(() => requireUdpPort({ host, port: 0 }));
}

async function destroyAll(nodes: readonly HyperDHT[], timers: Timers): Promise<void> {
  const grace = new Promise<void>((resolve) => void timers.after(CLOSE_GRACE_MS, resolve));
  await Promise.race([
    Promise.all(nodes.map((node) => node.destroy({ force: true }).catch(() => {}))),
    grace,
  ]);
}

function requireAddress(host: string, port: number): void {
  if (isAnyHost(host)) {
    throw invalid(
      `${host} is no address that gateways can reach; give the IPv4 address of this machine, such as 192.168.1.5`,
    );
  }
  if (!isIPv4(host))
    throw invalid(`${JSON.stringify(host)} is no IPv4 address; the hash table knows no names and no IPv6`);
  if (!Number.isInteger(port) || port < 1 || port > PORT_MAX) {
    throw invalid(`${port} is no port; gateways have to know it in advance, so give one from 1 to 65535`);
  }
}

function invalid(why: string): SprawlError {
  return new SprawlError('BOOTSTRAP_ADDRESS_INVALID', `the bootstrap node cannot have this address: ${why}`);
}
