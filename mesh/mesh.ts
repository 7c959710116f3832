/**
 * The mesh of one gateway put together: the node, which decides, and the transport, which has the sockets. The only one of the two that
 * waits for anything.
 */
import { isIP } from 'node:net';
import type { Clock, Timers } from '../lib/contracts/clock.js';
import type { Logger } from '../lib/contracts/logger.js';
import type { MeshHost } from '../lib/contracts/mesh-port.js';
import type { Store } from '../lib/contracts/store.js';
import { addressStoreOf } from './address-store.js';
import type { MeshSelf, MeshStatus } from '../lib/contracts/mesh-status.js';
import { signedCloneReportOf } from './identity/clone-report.js';
import { signDeparture } from './identity/departure.js';
import { type SignedLife, signLife } from './identity/signed-life.js';
import { instanceOf, lifeOfInstance } from './instance.js';
import { MeshNode } from './node/mesh-node.js';
import type { MeshMember } from './open-member.js';
import { statusOf } from './status.js';
import {
  createTransport,
  type HostPort,
  ownHosts,
  type PeerAddress,
  type Transport,
  type Twins,
} from './transport/index.js';

const MEMBER_ADDRESS = /^(?:\[(.+)\]|([^[\]:]+)):(\d{1,5})$/;
/** Between the goodbye and the end of the links. */
const GOODBYE_MS = 200;

export interface MeshSettings {
  readonly site: string;
  readonly listen: { readonly host: string; readonly tcpPort: number | undefined; readonly udpPort: number };
  /** undefined: the public ones; empty: no DHT. */
  readonly bootstrap: readonly HostPort[] | undefined;
  readonly peers: readonly HostPort[];
  /** `IP:PORT`, where others are told to dial; undefined: the addresses of the machine. */
  readonly advertise: readonly string[] | undefined;
  readonly lan: boolean;
  readonly firewalled: boolean | undefined;
  readonly importFilters: readonly string[];
  readonly exportFilters: readonly string[];
  readonly linkMaxBytesPerSecond: number;
  readonly creditBytes: number;
  readonly interestWaitMs: number;
  readonly relay: boolean;
  readonly probePeriodMs: number;
  /** Of the largest message, with all that is beside its payload. */
  readonly messageMaxBytes: number;
  readonly membersMaxCount: number;
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
  #life: SignedLife | undefined;

  constructor(options: MeshOptions) {
    this.#options = options;
    const { settings, member, software, clock, timers, random, randomBytes, schedule, logger } = options;
    const { site, importFilters, exportFilters, probePeriodMs, membersMaxCount } = settings;
    const { listen, bootstrap, peers, lan, firewalled, advertise } = settings;
    const { folder, swarmKey } = member;
    this.transport = createTransport({
      ...{ keyPair: folder.key.reveal(), swarmKey, addressBook: addressStoreOf(folder.addresses) },
      ...{ listen, bootstrap, peers, lan, clock, timers, random, randomBytes, logger },
      ...(firewalled === undefined ? {} : { firewalled }),
      isHidden: advertise !== undefined,
      isRefused: (id) => this.node.admission.isEvicted(id),
      instance: () => this.#instance(),
      onTwin: (twins) => this.#twins(twins),
    });
    this.node = new MeshNode({
      self: folder.id,
      ...{
        site,
        software,
        lineage: folder.lineage,
        lineages: member.lineages,
        roster: member.roster,
        clock,
        timers,
        random,
        logger,
        schedule,
      },
      ...{ store: options.store, host: options.host, importFilters, exportFilters },
      limits: {
        ...settings,
        maxQueuedPassingBytes: PASSING_MAX_BYTES,
        forward: { creditBytes: settings.creditBytes, wholeMaxBytes: settings.messageMaxBytes },
      },
      membership: { probePeriodMs, membersMaxCount },
      addresses: () => this.#addresses(),
      wanted: (ids) => this.transport.wanted(ids),
      heardOf: (id, addresses) => this.transport.hint(id, addresses.flatMap(parseMemberAddress)),
      matchesAdmin: (publicKey, salt) => swarmKey.matchesAdmin(publicKey, salt),
      saveRoster: (roster) => this.#saved('the roster', folder.membership.writeRoster(roster)),
      saveLineages: (lineages) => this.#saved('the starts of others', folder.lineages.save(lineages)),
      bearAnew: (beyond) => void this.#bearAnew(beyond),
      stopped: (reason) => this.#nodeStopped(reason),
    });
    this.transport.onLink = (link) => this.node.linkUp(link);
  }

  /** What it was made of. */
  get settings(): MeshSettings {
    return this.#options.settings;
  }

  /** After the store was opened. @throws SprawlError LISTEN_FAILED, MESH_FOLDER and others */
  async start(): Promise<void> {
    const { store, logger, member } = this.#options;
    const { folder } = member;
    const isFirst = folder.lineage.length === 0;
    this.node.begin(await folder.startEpoch(isFirst ? 0 : store.committed));
    if (this.node.endIfEvicted()) {
      logger.warn('this gateway is not in its mesh any more', { reason: this.stoppedBecause ?? '' });
      return;
    }
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

  status(): MeshStatus {
    const { settings, software } = this.#options;
    const { node, transport, stoppedBecause } = this;
    const state = stoppedBecause !== undefined ? 'stopped' : node.hasBegun ? 'running' : 'starting';
    const addresses = stoppedBecause === undefined ? this.#addresses() : [];
    const self: MeshSelf = {
      ...{ id: node.self, site: settings.site, version: software, state, addresses },
      epoch: node.hasBegun ? node.epoch : { counter: 0, nonce: '' },
      reason: stoppedBecause ?? null,
      load: node.hasBegun ? node.membership.self.metadata.load : null,
      health: node.hasBegun ? node.membership.self.metadata.health : [],
    };
    return statusOf(self, node, transport.status());
  }

  /** For good: the data folder is in no mesh any more. Clients are served on. @throws SprawlError MESH_FILE_FAILED */
  async leave(): Promise<void> {
    const { folder } = this.#options.member;
    if (this.node.hasBegun) this.node.depart(signDeparture(folder.key, this.node.epoch));
    await this.stop();
    this.node.forgetAll();
    this.stoppedBecause = 'it has left the mesh';
    await folder.membership.clear();
  }

  takeStatement(statement: Uint8Array): boolean {
    return this.node.takeStatement(statement);
  }

  /** How much of this gateway is in use, for the others. @param health why it is not well */
  setLoad(load: number, health: readonly string[]): void {
    if (this.node.hasBegun) this.node.membership.setLoad(load, health);
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

  #twins({ id, live, other, address }: Twins): void {
    const [known, told] = [lifeOfInstance(live), lifeOfInstance(other)];
    if (known !== undefined && told !== undefined)
      this.node.sawTwins(signedCloneReportOf(id, known, told), address);
  }

  /** Signed once for each life. */
  #instance(): Uint8Array {
    const { epoch } = this.node;
    if (this.#life?.nonce !== epoch.nonce) this.#life = signLife(this.#options.member.folder.key, epoch);
    return instanceOf(this.#life);
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

  /** What others may dial: every address of the machine where it listens on all of them. None before it listens. */
  #addresses(): readonly string[] {
    const { advertise } = this.#options.settings;
    if (advertise !== undefined) return advertise;
    const { tcp, udp } = this.transport.addresses;
    const { host, port } = tcp ?? udp;
    if (port === 0) return [];
    const hosts = ownHosts(host);
    return (hosts.length === 0 ? [host] : hosts).map(
      (one) => `${one.includes(':') ? `[${one}]` : one}:${port}`,
    );
  }
}

/** `HOST:PORT` of another member, for both protocols: most have one number for both. Numbers only: nobody makes this gateway look up names. */
export function parseMemberAddress(text: string): PeerAddress[] {
  const [, bracketed, plain, port] = MEMBER_ADDRESS.exec(text) ?? [];
  const address = { host: bracketed ?? plain ?? '', port: Number(port) };
  if (isIP(address.host) === 0) return [];
  return [
    { kind: 'tcp', ...address },
    { kind: 'udp', ...address },
  ];
}
