/** Which mesh a data folder belongs to: what `init` and `join` write, `leave` removes and a gateway reads and keeps up to date. */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { type AdminBinding, SALT_BYTES } from '../admission/admin-key.js';
import type { SignedEviction } from '../admission/eviction.js';
import { decodeEvictions, Roster } from '../admission/roster.js';
import { SwarmKey } from '../admission/swarm-key.js';
import { MalformedFrame } from '../wire/bytes.js';
import { SEED_BYTES } from './ed25519.js';
import { sealJson, unsealJson } from './json-file.js';
import type { MeshFiles } from './mesh-files.js';
import type { MeshLayout } from './mesh-layout.js';
import { isSiteName } from './site-name.js';

export class MembershipFiles {
  readonly #files: MeshFiles;
  readonly #layout: MeshLayout;
  readonly #logger: Logger;

  constructor(files: MeshFiles, layout: MeshLayout, logger: Logger) {
    this.#files = files;
    this.#layout = layout;
    this.#logger = logger;
  }

  /** @returns undefined: the folder is in no mesh. @throws SprawlError SWARM_KEY_INVALID, which names the file; MESH_FILE_FAILED */
  async readSwarmKey(): Promise<SwarmKey | undefined> {
    const path = this.#layout.swarmKey;
    await this.#warnWhereReadable(path);
    const bytes = await this.#files.read(path);
    if (bytes === undefined) return undefined;
    try {
      return SwarmKey.parse(Buffer.from(bytes).toString('latin1'));
    } catch (error) {
      if (!(error instanceof SprawlError)) throw error;
      throw new SprawlError('SWARM_KEY_INVALID', `${path}: ${error.message}`, { details: { path } });
    }
  }

  /** With the folder, where that is not there. @throws SprawlError MESH_FILE_FAILED */
  async writeSwarmKey(key: SwarmKey): Promise<void> {
    await this.#files.makeFolder(this.#layout.folder);
    await this.#files.replace(this.#layout.swarmKey, Buffer.from(`${key.reveal()}\n`, 'latin1'));
  }

  /**
   * @param key of the mesh: a roster of another one does not count
   * @returns undefined: the gateway has not learnt yet who the admin is, or the file was damaged, which is logged; others tell it again
   */
  async readRoster(key: SwarmKey): Promise<Roster | undefined> {
    const path = this.#layout.roster;
    const bytes = await this.#files.read(path);
    if (bytes === undefined) return undefined;
    const read = parseRoster(unsealJson(bytes, path));
    if (read === undefined || !key.matchesAdmin(read.admin.publicKey, read.admin.salt)) {
      this.#logger.warn('the roster is damaged, or that of another mesh: the evictions come back from others', {
        path,
      });
      return undefined;
    }
    const roster = new Roster(read.admin);
    roster.merge(read.evictions);
    return roster;
  }

  /** @throws SprawlError MESH_FILE_FAILED */
  async writeRoster(roster: Roster): Promise<void> {
    await this.#files.makeFolder(this.#layout.folder);
    const { publicKey, salt } = roster.admin;
    const sealed = sealJson({
      adminPublicKey: Buffer.from(publicKey).toString('hex'),
      salt: Buffer.from(salt).toString('hex'),
      evictions: roster.encode().map((frame) => Buffer.from(frame).toString('base64')),
    });
    await this.#files.replace(this.#layout.roster, sealed);
  }

  /** @returns undefined: none was ever given, or the file is damaged, which is logged */
  async readSite(): Promise<string | undefined> {
    const bytes = await this.#files.read(this.#layout.site);
    if (bytes === undefined) return undefined;
    const site = unsealJson(bytes, this.#layout.site)?.['site'];
    if (typeof site === 'string' && isSiteName(site)) return site;
    this.#logger.warn('the name of the site is damaged: give it again with --site', {
      path: this.#layout.site,
    });
    return undefined;
  }

  /** @param site that `isSiteName` takes. @throws SprawlError MESH_FILE_FAILED */
  async writeSite(site: string): Promise<void> {
    await this.#files.makeFolder(this.#layout.folder);
    await this.#files.replace(this.#layout.site, sealJson({ site }));
  }

  /**
   * The time, as far as this machine may be believed: a clock that was set back does not make an old invitation valid again.
   * @param wallMs milliseconds since 1970. @returns it, or the latest that was ever passed where that is later
   */
  async timeAtLeast(wallMs: number): Promise<number> {
    const path = this.#layout.timeFloor;
    const bytes = await this.#files.read(path);
    const known = bytes === undefined ? undefined : unsealJson(bytes, path)?.['wallMs'];
    const floorMs = typeof known === 'number' && Number.isFinite(known) ? known : 0;
    if (wallMs <= floorMs) return floorMs;
    await this.#files.makeFolder(this.#layout.folder);
    await this.#files.replace(path, sealJson({ wallMs }));
    return wallMs;
  }

  /** Out of the mesh: who the gateway is stays, and so do its lives, for its log goes on. @throws SprawlError MESH_FILE_FAILED */
  async clear(): Promise<void> {
    // The key last: a leave that is interrupted can be repeated.
    const { addresses, lineages, roster, site, swarmKey } = this.#layout;
    for (const path of [addresses, lineages, roster, site, swarmKey]) await this.#files.remove(path);
  }

  async #warnWhereReadable(path: string): Promise<void> {
    if (await this.#files.makePrivate(path))
      this.#logger.warn('other users of this machine could read a key; from now on they cannot', { path });
  }
}

interface ReadRoster {
  readonly admin: AdminBinding;
  readonly evictions: readonly SignedEviction[];
}

function bytesOf(hex: unknown, length: number): Uint8Array | undefined {
  if (typeof hex !== 'string' || hex.length !== 2 * length || !/^[0-9a-f]*$/.test(hex)) return undefined;
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

function parseRoster(value: Readonly<Record<string, unknown>> | undefined): ReadRoster | undefined {
  const publicKey = bytesOf(value?.['adminPublicKey'], SEED_BYTES);
  const salt = bytesOf(value?.['salt'], SALT_BYTES);
  const frames: unknown = value?.['evictions'];
  if (publicKey === undefined || salt === undefined || !Array.isArray(frames)) return undefined;
  try {
    const evictions = frames.flatMap((frame) => decodeEvictions(Buffer.from(String(frame), 'base64')));
    return { admin: { publicKey, salt }, evictions };
  } catch (error) {
    if (error instanceof MalformedFrame) return undefined;
    throw error;
  }
}
