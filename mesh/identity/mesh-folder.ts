/** The folder `mesh` of a data folder, as a gateway uses it. Another process is kept out by the lock of the data folder. */
import type { EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { readEpochs, type RememberedEpochs, writeEpochs } from './epochs-file.js';
import type { GatewayKey } from './gateway-key.js';
import { openKeyFile } from './key-file.js';
import { LINEAGE_MAX_COUNT } from './lineage.js';
import { MembershipFiles } from './membership-files.js';
import { type MeshFiles, nodeMeshFiles } from './mesh-files.js';
import { type MeshLayout, meshLayoutOf } from './mesh-layout.js';
import { type AddressBook, type LineageBook, openAddressBook, openLineageBook } from './peer-files.js';

const NONCE_BYTES = 8;

export interface MeshFolderParts {
  /** From a source that nobody can guess. */
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** Default: those of this machine. */
  readonly files?: MeshFiles;
}

export interface MeshFolder {
  readonly key: GatewayKey;
  readonly id: GatewayId;
  /** The key was made just now: this gateway is new. */
  readonly isNew: boolean;
  readonly membership: MembershipFiles;
  readonly addresses: AddressBook;
  readonly lineages: LineageBook;
  /** Its lives up to now, oldest first; empty: it never started. */
  readonly lineage: Lineage;
  /**
   * Begins a life: durable when it resolves, and not to be used before. Once for each process, and again where others know a later life
   * than this one.
   * @param after the last position in the log: everything later is of this life @param beyond its counter is higher than this one
   * @throws SprawlError MESH_FILE_FAILED: the gateway must not mesh then
   */
  startEpoch(after: number, beyond?: number): Promise<Lineage>;
}

/**
 * Makes what is missing: the folder, and the key of the gateway.
 * @throws SprawlError MESH_FILE_FAILED, MESH_FILE_DAMAGED, STORAGE_FORMAT_NEWER
 */
export async function openMeshFolder(dataDir: string, parts: MeshFolderParts): Promise<MeshFolder> {
  const { randomBytes, logger, files = nodeMeshFiles } = parts;
  const layout = meshLayoutOf(dataDir);
  if (await files.makeFolder(layout.folder))
    logger.warn('other users of this machine could look into the folder of the mesh; from now on they cannot', {
      path: layout.folder,
    });
  if (await files.makePrivate(layout.identityKey))
    logger.warn('other users of this machine could read a key; from now on they cannot', {
      path: layout.identityKey,
    });
  const { key, isNew } = await openKeyFile(files, layout.identityKey, randomBytes);
  const epochs = await readEpochs(files, layout.epochs, layout.epochsCopy);
  if (epochs.fault !== undefined)
    logger.warn('the earlier starts of this gateway are not all known', { fault: epochs.fault });
  return new OpenMeshFolder(files, layout, logger, randomBytes, key, isNew, epochs);
}

/**
 * Forgets who the gateway is: the next start makes a new identity. The mesh it belongs to stays. The folder must not be in use.
 * @throws SprawlError MESH_FILE_FAILED
 */
export async function removeIdentity(dataDir: string, files: MeshFiles = nodeMeshFiles): Promise<void> {
  const { epochs, epochsCopy, identityKey } = meshLayoutOf(dataDir);
  // The key first: lives without a key are only numbers, a key without its lives would be a gateway that was put back.
  for (const path of [identityKey, epochs, epochsCopy]) await files.remove(path);
}

class OpenMeshFolder implements MeshFolder {
  readonly key: GatewayKey;
  readonly isNew: boolean;
  readonly membership: MembershipFiles;
  readonly addresses: AddressBook;
  readonly lineages: LineageBook;
  readonly #files: MeshFiles;
  readonly #layout: MeshLayout;
  readonly #randomBytes: (size: number) => Uint8Array;
  lineage: Lineage;
  #nextCounter: number;

  constructor(
    files: MeshFiles,
    layout: MeshLayout,
    logger: Logger,
    randomBytes: (size: number) => Uint8Array,
    key: GatewayKey,
    isNew: boolean,
    epochs: RememberedEpochs,
  ) {
    this.key = key;
    this.isNew = isNew;
    this.membership = new MembershipFiles(files, layout, logger);
    this.addresses = openAddressBook(files, layout.addresses, logger);
    this.lineages = openLineageBook(files, layout.lineages, logger);
    this.#files = files;
    this.#layout = layout;
    this.#randomBytes = randomBytes;
    this.lineage = epochs.lineage ?? [];
    this.#nextCounter = epochs.nextCounter;
  }

  get id(): GatewayId {
    return this.key.id;
  }

  async startEpoch(after: number, beyond = 0): Promise<Lineage> {
    const counter = Math.max(this.#nextCounter, beyond + 1);
    const nonce = Buffer.from(this.#randomBytes(NONCE_BYTES)).toString('hex');
    const start: EpochStart = { counter, nonce, after };
    const begun = [...this.lineage, start].slice(-LINEAGE_MAX_COUNT);
    await writeEpochs(this.#files, this.#layout.epochs, this.#layout.epochsCopy, begun);
    this.lineage = begun;
    this.#nextCounter = counter + 1;
    return begun;
  }
}
