/**
 * The mesh of one gateway put together: the node, which decides, and the transport, which has the sockets. The only one of the two that
 * waits for anything.
 */
import type { Clock, Timers } from '../lib/contracts/clock.js';
import type { EpochStart, Lineage } from '../lib/contracts/epoch.js';
import { gatewayIdOf } from '../lib/contracts/gateway-id.js';
import type { Logger } from '../lib/contracts/logger.js';
import type { MeshHost } from '../lib/contracts/mesh-port.js';
import type { LogPosition, Store } from '../lib/contracts/store.js';
import type { SwarmKey } from './admission/swarm-key.js';
import { MeshNode } from './node/mesh-node.js';
import {
  type AddressBookStore,
  createTransport,
  type HostPort,
  type Transport,
  type TransportKeyPair,
} from './transport/index.js';

/** Between the goodbye and the end of the links. */
const GOODBYE_MS = 200;

/** What a data folder knows of the mesh: see mesh/identity. */
export interface MeshFolder {
  readonly keyPair: TransportKeyPair;
  readonly swarmKey: SwarmKey;
  readonly lineage: Lineage;
  readonly addressBook: AddressBookStore;
  /** Makes the epoch of this process durable. @param after newest position of the log */
  begin(after: LogPosition): Promise<EpochStart>;
}

export interface MeshSettings {
  readonly site: string;
  readonly listen: { readonly host: string; readonly tcpPort: number; readonly udpPort: number };
  /** undefined: the public ones; empty: no DHT. */
  readonly bootstrap: readonly HostPort[] | undefined;
  readonly peers: readonly HostPort[];
  readonly lan: boolean;
  readonly firewalled: boolean | undefined;
  readonly importFilters: readonly string[];
  readonly exportFilters: readonly string[];
  readonly linkMaxBytesPerSecond: number;
  readonly probePeriodMs: number;
}

export interface MeshOptions {
  readonly settings: MeshSettings;
  readonly folder: MeshFolder;
  readonly software: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly schedule: (run: () => void) => void;
  readonly logger: Logger;
  readonly store: Store;
  readonly host: MeshHost;
}

/** Of the link, above which messages of QoS 0 are dropped. */
const PASSING_MAX_BYTES = 4 * 1_048_576;

export class Mesh {
  readonly node: MeshNode;
  readonly transport: Transport;
  readonly #options: MeshOptions;
  #stopped: Promise<void> | undefined;

  constructor(options: MeshOptions) {
    this.#options = options;
    const { settings, folder, software, clock, timers, random, randomBytes, schedule, logger } = options;
    const { site, importFilters, exportFilters, linkMaxBytesPerSecond, probePeriodMs } = settings;
    const { listen, bootstrap, peers, lan, firewalled } = settings;
    this.transport = createTransport({
      ...{ keyPair: folder.keyPair, swarmKey: folder.swarmKey, addressBook: folder.addressBook },
      ...{ listen, bootstrap, peers, lan, clock, timers, random, randomBytes, logger },
      ...(firewalled === undefined ? {} : { firewalled }),
      isRefused: () => false,
    });
    this.node = new MeshNode({
      self: gatewayIdOf(folder.keyPair.publicKey),
      ...{ site, software, lineage: folder.lineage, clock, timers, random, logger, schedule },
      ...{ store: options.store, host: options.host, importFilters, exportFilters },
      limits: { linkMaxBytesPerSecond, maxQueuedPassingBytes: PASSING_MAX_BYTES },
      membership: { probePeriodMs },
      addresses: () => this.#addresses(),
      wanted: (ids) => this.transport.wanted(ids),
    });
    this.transport.onLink = (link) => this.node.linkUp(link);
  }

  /** After the store was opened. @throws SprawlError LISTEN_FAILED, MESH_FOLDER and others */
  async start(): Promise<void> {
    const { folder, store, logger } = this.#options;
    const epoch = await folder.begin(folder.lineage.length === 0 ? 0 : store.committed);
    this.node.begin(epoch);
    await this.transport.start();
    this.node.membership.setAddresses(this.#addresses());
    const { tcp, udp } = this.transport.addresses;
    logger.info('in the mesh', {
      gateway: this.node.self,
      site: this.#options.settings.site,
      tcp: tcp === undefined ? 'off' : `${tcp.host}:${tcp.port}`,
      udp: `${udp.host}:${udp.port}`,
    });
  }

  /** Says goodbye to the others. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.node.leave();
    await new Promise<void>((resolve) => this.#options.timers.after(GOODBYE_MS, resolve));
    this.node.end('the gateway stops');
    await this.transport.stop();
  }

  #addresses(): string[] {
    const { tcp, udp } = this.transport.addresses;
    return tcp === undefined ? [`${udp.host}:${udp.port}`] : [`${tcp.host}:${tcp.port}`];
  }
}
