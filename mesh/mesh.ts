/**
 * The mesh of one gateway put together: the node, which decides, and the transport, which has the sockets. The only one of the two that
 * waits for anything.
 */
import type { Clock, Timers } from '../lib/contracts/clock.js';
import type { Lineage } from '../lib/contracts/epoch.js';
import type { GatewayId } from '../lib/contracts/gateway-id.js';
import type { Logger } from '../lib/contracts/logger.js';
import type { MeshHost } from '../lib/contracts/mesh-port.js';
import type { Store } from '../lib/contracts/store.js';
import { addressStoreOf } from './address-store.js';
import type { Roster } from './admission/roster.js';
import type { SwarmKey } from './admission/swarm-key.js';
import type { MeshFolder } from './identity/mesh-folder.js';
import { MeshNode } from './node/mesh-node.js';
import { createTransport, type HostPort, type Transport } from './transport/index.js';

/** Between the goodbye and the end of the links. */
const GOODBYE_MS = 200;

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

/** A data folder that belongs to a mesh. */
export interface MeshMember {
  readonly folder: MeshFolder;
  readonly swarmKey: SwarmKey;
  readonly roster: Roster | undefined;
  readonly lineages: ReadonlyMap<GatewayId, Lineage>;
}

export interface MeshOptions {
  readonly settings: MeshSettings;
  readonly member: MeshMember;
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
  /** Why this gateway takes part no more though it runs; undefined: it does, or has not begun. */
  stoppedBecause: string | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: MeshOptions) {
    this.#options = options;
    const { settings, member, software, clock, timers, random, randomBytes, schedule, logger } = options;
    const { site, importFilters, exportFilters, linkMaxBytesPerSecond, probePeriodMs } = settings;
    const { listen, bootstrap, peers, lan, firewalled } = settings;
    const { folder, swarmKey } = member;
    this.transport = createTransport({
      ...{ keyPair: folder.key.reveal(), swarmKey, addressBook: addressStoreOf(folder.addresses) },
      ...{ listen, bootstrap, peers, lan, clock, timers, random, randomBytes, logger },
      ...(firewalled === undefined ? {} : { firewalled }),
      isRefused: (id) => this.node.admission.isEvicted(id),
    });
    this.node = new MeshNode({
      self: folder.id,
      ...{ site, software, lineage: folder.lineage, lineages: member.lineages, roster: member.roster, clock, timers, random, logger, schedule },
      ...{ store: options.store, host: options.host, importFilters, exportFilters },
      limits: { linkMaxBytesPerSecond, maxQueuedPassingBytes: PASSING_MAX_BYTES },
      membership: { probePeriodMs },
      addresses: () => this.#addresses(),
      wanted: (ids) => this.transport.wanted(ids),
      matchesAdmin: (publicKey, salt) => swarmKey.matchesAdmin(publicKey, salt),
      saveRoster: (roster) => this.#saved('the roster', folder.membership.writeRoster(roster)),
      saveLineages: (lineages) => this.#saved('the starts of others', folder.lineages.save(lineages)),
      bearAnew: (beyond) => void this.#bearAnew(beyond),
      stopped: (reason) => this.#nodeStopped(reason),
    });
    this.transport.onLink = (link) => this.node.linkUp(link);
  }

  /** After the store was opened. @throws SprawlError LISTEN_FAILED, MESH_FOLDER and others */
  async start(): Promise<void> {
    const { store, logger, member } = this.#options;
    const { folder } = member;
    const isFirst = folder.lineage.length === 0;
    this.node.begin(await folder.startEpoch(isFirst ? 0 : store.committed));
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

  /** Others know lives of this gateway that its data folder does not: it was put back to an old image. */
  async #bearAnew(beyond: number): Promise<void> {
    const { member, store, logger } = this.#options;
    try {
      this.node.begin(await member.folder.startEpoch(store.committed, beyond));
    } catch (error) {
      logger.error('the mesh is left: a new start cannot be written down', { reason: String(error) });
      this.node.end('it cannot write down a new start');
    }
  }

  #nodeStopped(reason: string): void {
    this.stoppedBecause = reason;
    this.#saved('the end of the mesh', this.transport.stop());
  }

  #saved(what: string, saving: Promise<void>): void {
    saving.catch((error: unknown) =>
      this.#options.logger.error('a file of the mesh cannot be written', { what, reason: String(error) }),
    );
  }

  #addresses(): string[] {
    const { tcp, udp } = this.transport.addresses;
    return tcp === undefined ? [`${udp.host}:${udp.port}`] : [`${tcp.host}:${tcp.port}`];
  }
}
