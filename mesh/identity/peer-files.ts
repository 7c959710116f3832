/** What a gateway remembers of others. All of it can be learnt again: a damaged file is logged and begun anew. */
import type { Lineage } from '../../lib/contracts/epoch.js';
import { type GatewayId, parseGatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { sealJson, unsealJson } from './json-file.js';
import { isLineage } from './lineage.js';
import type { MeshFiles } from './mesh-files.js';

export interface KnownPeer {
  readonly id: GatewayId;
  /** `HOST:PORT`, the best first. */
  readonly addresses: readonly string[];
}

/** Where others were reached: with it a whole mesh that was without power finds itself again without help. */
export interface AddressBook {
  load(): Promise<KnownPeer[]>;
  /** In place of what was there. Calls that overlap are done one after the other. @throws SprawlError MESH_FILE_FAILED */
  save(peers: readonly KnownPeer[]): Promise<void>;
}

/** The lives of others, as each told them when it was met last: where a lineage forks off can be told only from the whole of it. */
export interface LineageBook {
  load(): Promise<Map<GatewayId, Lineage>>;
  /** In place of what was there. @throws SprawlError MESH_FILE_FAILED */
  save(lineages: ReadonlyMap<GatewayId, Lineage>): Promise<void>;
}

/** Of a mesh with more gateways the first are kept. */
const PEERS_MAX_COUNT = 4096;
const ADDRESSES_MAX_COUNT = 16;
const ADDRESS_MAX_CHARACTERS = 300;

/** A file whose content is a list, with one writer at a time. */
class ListFile<T> {
  readonly #files: MeshFiles;
  readonly #path: string;
  readonly #logger: Logger;
  readonly #parse: (entry: unknown) => T | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(files: MeshFiles, path: string, logger: Logger, parse: (entry: unknown) => T | undefined) {
    this.#files = files;
    this.#path = path;
    this.#logger = logger;
    this.#parse = parse;
  }

  async load(): Promise<T[]> {
    const bytes = await this.#files.read(this.#path);
    if (bytes === undefined) return [];
    const entries: unknown = unsealJson(bytes, this.#path)?.['entries'];
    if (!Array.isArray(entries)) {
      this.#logger.warn('what was known of other gateways is damaged and begun anew', { path: this.#path });
      return [];
    }
    return entries.slice(0, PEERS_MAX_COUNT).flatMap((entry) => {
      const parsed = this.#parse(entry);
      return parsed === undefined ? [] : [parsed];
    });
  }

  save(entries: readonly unknown[]): Promise<void> {
    const sealed = sealJson({ entries: entries.slice(0, PEERS_MAX_COUNT) });
    const written = this.#writing.then(() => this.#files.replace(this.#path, sealed));
    this.#writing = written.catch(() => undefined); // Its caller is told; the next one tries for itself.
    return written;
  }
}

export function openAddressBook(files: MeshFiles, path: string, logger: Logger): AddressBook {
  const file = new ListFile(files, path, logger, parsePeer);
  return {
    load: () => file.load(),
    save: (peers) =>
      file.save(peers.map(({ id, addresses }) => ({ id, addresses: addresses.slice(0, ADDRESSES_MAX_COUNT) }))),
  };
}

export function openLineageBook(files: MeshFiles, path: string, logger: Logger): LineageBook {
  const file = new ListFile(files, path, logger, parseLineageOf);
  return {
    load: async () => new Map(await file.load()),
    save: (lineages) => file.save([...lineages].map(([id, lineage]) => ({ id, lineage }))),
  };
}

function fieldsOf(entry: unknown): Readonly<Record<string, unknown>> {
  return typeof entry === 'object' && entry !== null ? { ...entry } : {};
}

function parsePeer(entry: unknown): KnownPeer | undefined {
  const fields = fieldsOf(entry);
  const id = parseGatewayId(String(fields['id']));
  const addresses: unknown = fields['addresses'];
  if (id === undefined || !Array.isArray(addresses)) return undefined;
  const known = addresses.filter(
    (address): address is string => typeof address === 'string' && address.length <= ADDRESS_MAX_CHARACTERS,
  );
  return { id, addresses: known.slice(0, ADDRESSES_MAX_COUNT) };
}

function parseLineageOf(entry: unknown): readonly [GatewayId, Lineage] | undefined {
  const { id: text, lineage } = fieldsOf(entry);
  const id = parseGatewayId(String(text));
  return id !== undefined && isLineage(lineage) ? [id, lineage] : undefined;
}
