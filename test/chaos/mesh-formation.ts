/** Gateways that are one mesh, made as an operator makes it: `init`, `up`, `join`; later only `up`, and the address book. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MeshGateway, type MeshPorts, within } from './mesh-gateway.js';
import { createNetwork, type MeshNetwork } from './mesh-network.js';
import { freePort } from '../support/free-port.js';

const BIN = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));
/** Beyond it the machine, not the gateway, is slow. */
export const LAG_MAX_MS = 250;
const LAG_EVERY_MS = 3000;
const MEET_MAX_MS = 80_000;
const REST_MAX_MS = 300_000;
const SWARM_KEY = /\bsprawl1[a-z0-9]+/;
const ADMIN_KEY = /\bsprawladmin1[a-z0-9]+/;

export interface FormationOptions {
  readonly folder: string;
  readonly count: number;
  /** See GatewayProcessOptions. */
  readonly hasSmallFiles?: boolean | undefined;
  readonly set?: Readonly<Record<string, number | string>>;
  /** Options of Node.js. */
  readonly execArgv?: readonly string[];
  readonly network?: MeshNetwork;
  /** Places that stay empty. */
  readonly spare?: number;
}

/** @throws Error where it fails */
export function runTool(args: readonly string[], prefix: readonly string[] = []): string {
  const [file = '', ...all] = [...prefix, process.execPath, BIN, ...args];
  const { status, stdout, stderr } = spawnSync(file, all, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`sprawl-edge ${args[0] ?? ''} ended with ${status}: ${stderr}`);
  return stdout;
}

export class MeshFormation {
  readonly network: MeshNetwork;
  readonly gateways: MeshGateway[] = [];
  readonly #options: FormationOptions;
  /** The worst p99 of an event loop so far. */
  lagMs = 0;
  /** How long it took after the last start until all were linked. */
  metMs = 0;
  #mayBeRelayed = false;
  #lags: NodeJS.Timeout | undefined;
  keyFile = '';
  adminKeyFile = '';

  constructor(options: FormationOptions) {
    this.#options = options;
    this.network = options.network ?? createNetwork(options.count + (options.spare ?? 0));
  }

  /** @throws Error where they do not find each other */
  async start({ peers = true, mayBeRelayed = false, meet = true } = {}): Promise<void> {
    const { folder, hasSmallFiles, set = {}, execArgv } = this.#options;
    for (const place of this.network.places.slice(0, this.#options.count)) {
      const dataDir = join(folder, place.name);
      // Ports are taken one after the other.
      // eslint-disable-next-line no-await-in-loop
      const ports = await this.#ports();
      this.gateways.push(new MeshGateway({ place, dataDir, ports, hasSmallFiles, set, execArgv }));
    }
    const [first, ...rest] = this.gateways;
    if (first === undefined) throw new Error('no gateway');
    const text = runTool(['init', '--data-dir', first.options.dataDir]);
    this.keyFile = this.#write('swarm.key', SWARM_KEY.exec(text)?.[0]);
    this.adminKeyFile = this.#write('admin.key', ADMIN_KEY.exec(text)?.[0]);
    await first.start();
    this.#mayBeRelayed = mayBeRelayed;
    await Promise.all(rest.map((one) => this.join(one, peers ? first : undefined)));
    if (meet) {
      const metMs = await this.whenLinked(MEET_MAX_MS);
      if (metMs === undefined) throw new Error(`the gateways did not meet: ${await this.unlinked()}`);
      this.metMs = metMs;
    }
    this.#lags = setInterval(() => void this.#measure(), LAG_EVERY_MS);
  }

  /** A gateway starts for the first time. */
  join(gateway: MeshGateway, through: MeshGateway | undefined): Promise<void> {
    const peer = through === undefined ? [] : ['--peer', through.meshAddress];
    return gateway.start(['join', '--key-file', this.keyFile, ...peer]);
  }

  /** @returns how long it took until each of these has a link to each other one; undefined: too long. */
  whenLinked(maxMs: number, who: readonly MeshGateway[] = this.gateways): Promise<number | undefined> {
    return within(maxMs, async () => (await this.unlinked(who)) === '', 100);
  }

  /** Which links are missing, and why. */
  async unlinked(who: readonly MeshGateway[] = this.gateways): Promise<string> {
    const texts = await Promise.all(
      who.map(async (one) => {
        const status = await one.status();
        if (status === undefined) return [`${one.name} does not answer`];
        return who
          .filter((other) => other !== one)
          .flatMap((other) => {
            const peer = status.peers.find(({ id }) => id === other.id);
            // Through a third one is not enough where there is a way.
            const isLinked = peer?.state === 'up' || (this.#mayBeRelayed && peer?.state === 'relayed');
            const isUp = isLinked && peer.status === 'alive';
            return isUp
              ? []
              : [`${one.name} to ${other.name}: ${peer?.state} (${peer?.status}), ${peer?.reason}`];
          });
      }),
    );
    return texts.flat().join('; ');
  }

  /** All linked, and nothing that one still owes another. @returns how long it took. @throws Error after very long */
  async rest(who: readonly MeshGateway[] = this.gateways, maxMs = REST_MAX_MS): Promise<number> {
    const tookMs = await within(maxMs, async () => (await this.#restless(who)) === '', 100);
    if (tookMs === undefined) throw new Error(`the mesh does not come to rest: ${await this.#restless(who)}`);
    return tookMs;
  }

  async #restless(who: readonly MeshGateway[]): Promise<string> {
    const unlinked = await this.unlinked(who);
    if (unlinked !== '') return unlinked;
    const ids = new Set(who.map(({ id }) => id));
    const texts = await Promise.all(
      who.map(async (one) =>
        ((await one.status())?.peers ?? [])
          .filter(({ id }) => ids.has(id))
          .filter(({ pendingMessages, oldestUnackedMs }) => pendingMessages > 0 || oldestUnackedMs !== null)
          .map(
            ({ site, pendingMessages, oldestUnackedMs }) =>
              `${one.name} owes ${site} ${pendingMessages} messages, the oldest since ${oldestUnackedMs} ms`,
          ),
      ),
    );
    return texts.flat().join('; ');
  }

  /** A reason to believe nothing that this run shows. */
  doubts(): string[] {
    return this.lagMs > LAG_MAX_MS
      ? [`inconclusive: an event loop was ${Math.round(this.lagMs)} ms late (p99): this machine is too busy`]
      : [];
  }

  async close(): Promise<void> {
    clearInterval(this.#lags);
    await Promise.all(this.gateways.map((one) => one.stop()));
    this.network.close();
  }

  async #measure(): Promise<void> {
    const lags = await Promise.all(this.gateways.map((one) => one.lagMs()));
    for (const lag of lags) this.lagMs = Math.max(this.lagMs, lag ?? 0);
  }

  async #ports(): Promise<MeshPorts> {
    if (this.network.cannotCut === undefined) return { mqtt: 1883, http: 8880, mesh: 4430 };
    return { mqtt: await freePort(), http: await freePort(), mesh: await freePort() };
  }

  #write(name: string, key: string | undefined): string {
    if (key === undefined) throw new Error('init has shown no key');
    const path = join(this.#options.folder, name);
    writeFileSync(path, `${key}\n`, { mode: 0o600 });
    return path;
  }
}
