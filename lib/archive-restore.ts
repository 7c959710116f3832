/**
 * Makes a data folder for a gateway that was lost, from what it has archived: what it retained, and the messages that can be looked up by topic and time.
 *
 *     archive ─▶ read once: newest retained of each topic, where the history begins ─▶ older retained ─▶ history ─▶ folder
 */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { createDiskStore } from '../storage/index.js';
import {
  Catalog,
  comparePlaces,
  readInOrder,
  RecentRows,
  type RowPlace,
  type Selection,
  type StoredRow,
  withArchive,
} from './archive-tools.js';
import type { Config } from './config/index.js';
import { SprawlError } from './contracts/errors.js';
import type { GatewayId } from './contracts/gateway-id.js';
import { NO_SESSIONS } from './contracts/no-sessions.js';
import { ARCHIVE_FLOORS } from './contracts/store.js';
import { createMessage, type Message } from './message/message.js';
import { encodeProperties, type Properties, type QoS } from './protocol/index.js';
import { realClock } from './real-clock.js';
import { expectFillable, fillFolder, silentLogger, toolPartsOf } from './storage-tools.js';

export interface ArchiveRestoreReport {
  readonly origin: GatewayId;
  /** Messages that were looked at. */
  readonly rows: number;
  /** Topics that retain a message. */
  readonly retained: number;
  /** Messages that can be looked up. */
  readonly history: number;
}

export interface RestoreProgress {
  /** Messages that were looked at. */
  readonly rows: number;
  /** Messages of the history that are in the folder. */
  readonly history: number;
}

export interface RestoreOptions {
  /** Beginnings of ids; empty: the only one that the archive has. */
  readonly origins: readonly string[];
  /** How far the history goes back; undefined: as far as the gateway keeps it. */
  readonly historyMs: number | undefined;
  /** Often. */
  onProgress(progress: RestoreProgress): void;
}

type ArchiveStore = Catalog['store'];

/** What is to be in the folder. */
interface Plan {
  readonly rows: number;
  /** By topic. */
  readonly newest: ReadonlyMap<string, StoredRow>;
  readonly isInHistory: (row: StoredRow) => boolean;
}

/** Of messages that are appended before the disk is waited for: as many, and as many bytes. */
const GROUP_COUNT = 1000;
const GROUP_BYTES = 4_194_304;
/** What the log takes for a message beside its topic, its properties and its payload, about. */
const RECORD_BYTES = 48;

/**
 * What the gateway of `origins` retained when it archived last, and what it could look up, as far as `storage.keepMaxBytes` and `storage.keepMaxAgeS`
 * keep it, in a new data folder. Sessions and their queues are in no archive; nor is who the gateway was: it begins with a new identity. Until all is
 * there no gateway starts on the folder; where it was interrupted it is begun again.
 * @throws SprawlError BACKUP_FOLDER_REFUSED for a folder that holds data, ARCHIVE_MISSING, ARCHIVE_DAMAGED, ARCHIVE_UNREACHABLE, those of storage
 */
export async function restoreFromArchive(
  config: Config,
  { origins, historyMs, onProgress }: RestoreOptions,
): Promise<ArchiveRestoreReport> {
  const parts = { ...toolPartsOf(config, () => undefined), folder: resolve(config.dataDir) };
  await expectFillable(parts, undefined);
  return withArchive(config, async (store) => {
    const origin = await onlyOrigin(store, origins);
    const source = `${config.archive.target} ${origin}`;
    await expectFillable(parts, source);
    const all = { origins: [origin], fromMs: -Infinity, toMs: Infinity, filters: [] };
    const keptMs = config.storage.keepMaxAgeS * 1000;
    const fromMs = realClock.wall() - Math.min(historyMs ?? keptMs, keptMs);
    const plan = await planOf(store, all, { fromMs, maxBytes: historyMaxBytes(config) }, (rows) =>
      onProgress({ rows, history: 0 }),
    );
    const recent = readInOrder(new Catalog(store), { ...all, fromMs });
    const history = await fillFolder(parts, source, () =>
      write(config, plan, recent, (count) => onProgress({ rows: plan.rows, history: count })),
    );
    return { origin, rows: plan.rows, retained: plan.newest.size, history };
  });
}

/** What is more goes with the first segment; and a gateway that began with a full disk would take nothing in. */
function historyMaxBytes({ storage, limits }: Config): number {
  return Math.min(storage.keepMaxBytes, limits.diskMaxBytes / 2);
}

async function onlyOrigin(store: ArchiveStore, origins: readonly string[]): Promise<GatewayId> {
  const selection = { origins, fromMs: -Infinity, toMs: Infinity, filters: [] };
  const [origin, ...others] = await new Catalog(store).selectedOrigins(selection);
  if (origin !== undefined && others.length === 0) return origin;
  const all = [origin, ...others].filter((one) => one !== undefined).join(', ');
  throw new SprawlError(
    'ARCHIVE_MISSING',
    origin === undefined
      ? `${store.name} has nothing of such a gateway: "sprawl-edge archive ls" shows what it has`
      : `${store.name} is of several gateways: --origin says which one was lost (${all})`,
  );
}

async function planOf(
  store: ArchiveStore,
  selection: Selection,
  { fromMs, maxBytes }: { readonly fromMs: number; readonly maxBytes: number },
  onProgress: (rows: number) => void,
): Promise<Plan> {
  const newest = new Map<string, StoredRow>();
  const recent = new RecentRows(maxBytes);
  let rows = 0;
  for await (const batch of readInOrder(new Catalog(store), selection)) {
    rows += batch.length;
    for (const row of batch) {
      // The bytes are those of a file: one message would keep all of it.
      if (row.retain) newest.set(row.topic, { ...row, payload: row.payload.slice() });
      if (isLookedUp(row) && row.timeMs >= fromMs) recent.add(placeOf(row), bytesOf(row));
    }
    onProgress(rows);
  }
  for (const [topic, { payload }] of newest) if (payload.length === 0) newest.delete(topic);
  const { first } = recent;
  const isInHistory = (row: StoredRow): boolean =>
    first !== undefined && isLookedUp(row) && row.timeMs >= fromMs && comparePlaces(placeOf(row), first) >= 0;
  return { rows, newest, isInHistory };
}

/** What passed with QoS 0 no gateway can look up. */
const isLookedUp = ({ qos, retain }: StoredRow): boolean => qos > 0 || retain;
const placeOf = ({ facts, sequence }: StoredRow): RowPlace => ({ epoch: facts.epoch.counter, sequence });

function bytesOf({ topic, properties = '', payload }: StoredRow): number {
  return RECORD_BYTES + Buffer.byteLength(topic, 'utf8') + properties.length + payload.length;
}

/** @param rows in order; those of the history, and maybe others @returns how many are of the history */
async function write(
  config: Config,
  { newest, isInHistory }: Plan,
  rows: AsyncIterable<readonly StoredRow[]>,
  onProgress: (history: number) => void,
): Promise<number> {
  const writer = await FolderWriter.open(config);
  try {
    // Behind the history they would be the last messages of their topics.
    const older = [...newest.values()].filter((row) => !isInHistory(row));
    older.sort((a, b) => comparePlaces(placeOf(a), placeOf(b)));
    for (const row of older) await writer.append(row, true);
    let history = 0;
    for await (const batch of rows) {
      for (const row of batch) {
        if (!isInHistory(row)) continue;
        const last = row.retain ? newest.get(row.topic) : undefined;
        await writer.append(row, last !== undefined && comparePlaces(placeOf(last), placeOf(row)) === 0);
        history++;
      }
      onProgress(history);
    }
    await writer.finish();
    return history;
  } finally {
    await writer.close();
  }
}

class FolderWriter {
  readonly #store: ReturnType<typeof createDiskStore>;
  readonly #setWall: (wallMs: number) => void;
  #count = 0;
  #bytes = 0;

  static async open(config: Config): Promise<FolderWriter> {
    const { dataDir, storage, limits, mesh } = config;
    const { schedule, timers } = toolPartsOf(config, () => undefined);
    let wallMs = realClock.wall();
    const store = createDiskStore(
      { dataDir, ...storage, ...limits, floorsMaxBytes: mesh.peerKeepMaxBytes, isRestoring: true },
      {
        // Each was taken in when the archive says.
        clock: { now: () => realClock.now(), wall: () => wallMs },
        continueClock: () => undefined,
        timers,
        logger: silentLogger,
        schedule,
        randomBytes,
      },
    );
    await store.open(NO_SESSIONS);
    return new FolderWriter(store, (ms) => (wallMs = ms));
  }

  private constructor(store: ReturnType<typeof createDiskStore>, setWall: (wallMs: number) => void) {
    this.#store = store;
    this.#setWall = setWall;
  }

  /** @param isRetained whether the topic retains it */
  async append(row: StoredRow, isRetained: boolean): Promise<void> {
    const store = this.#store;
    const bytes = bytesOf(row);
    if (store.admit(bytes) !== 0) await this.#flush();
    // What waited for the disk does not any more.
    if (store.admit(bytes) !== 0) {
      throw new SprawlError(
        'STORAGE_FULL',
        'there is no room for what is to be restored: free some, raise limits.diskMaxBytes, or restore less of it with --history',
      );
    }
    this.#setWall(row.timeMs);
    const message = messageOf(row);
    store.append(message, undefined);
    if (isRetained) store.retained.set(message);
    this.#count++;
    this.#bytes += bytes;
    if (this.#count >= GROUP_COUNT || this.#bytes >= GROUP_BYTES) await this.#flush();
  }

  #flush(): Promise<void> {
    this.#count = 0;
    this.#bytes = 0;
    return this.#store.log.flush();
  }

  async finish(): Promise<void> {
    const store = this.#store;
    await this.#flush();
    this.#setWall(realClock.wall());
    // They are in the archive: it is not to have them twice.
    for (const name of ARCHIVE_FLOORS) store.setFloor(name, store.committed + 1);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function messageOf({ topic, qos, retain, properties, payload }: StoredRow): Message {
  const utf8 = Buffer.from(topic, 'utf8');
  return createMessage({
    ...{ topic, qos: qos as QoS, retain },
    // Those of a file would stay in memory with a retained one.
    payload: retain ? payload.slice() : payload,
    topicBytes: Buffer.concat([Buffer.from([utf8.length >> 8, utf8.length & 0xff]), utf8]),
    properties: propertiesOf(properties),
  });
}

function propertiesOf(text: string | undefined): Uint8Array {
  if (text === undefined) return new Uint8Array(0);
  const { correlationData, ...rest } = JSON.parse(text) as Omit<Properties, 'correlationData'> & {
    readonly correlationData?: string;
  };
  const bytes =
    correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData, 'base64') };
  return encodeProperties({ ...rest, ...bytes }, 'publish');
}
