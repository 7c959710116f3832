/** Makes a data folder for a gateway that was lost, from what it has archived. */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { createDiskStore } from '../storage/index.js';
import { Catalog, readSelection, type StoredRow, withArchive } from './archive-tools.js';
import type { Config } from './config/index.js';
import { SprawlError } from './contracts/errors.js';
import type { GatewayId } from './contracts/gateway-id.js';
import { NO_SESSIONS } from './contracts/no-sessions.js';
import { ARCHIVE_FLOORS } from './contracts/store.js';
import { createMessage, type Message } from './message/message.js';
import { encodeProperties, type Properties, type QoS } from './protocol/index.js';
import { realClock } from './real-clock.js';
import { isFolderUsed, silentLogger, toolPartsOf } from './storage-tools.js';

export interface ArchiveRestoreReport {
  readonly origin: GatewayId;
  /** Messages that were looked at. */
  readonly rows: number;
  /** Topics that retain a message. */
  readonly retained: number;
}

/** The newest of a topic. */
interface Newest {
  readonly epoch: number;
  readonly sequence: number;
  readonly timeMs: number;
  readonly qos: QoS;
  readonly properties: string | undefined;
  readonly payload: Uint8Array;
}

/** Of messages that are appended before the disk is waited for. */
const GROUP_COUNT = 1000;

/**
 * What the gateway of `origins` retained when it archived last, in a new data folder. Sessions and their queues are in no archive; nor is who
 * the gateway was: it begins with a new identity.
 * @param origins beginnings of ids; empty: the only one that the archive has
 * @param onProgress messages that were looked at
 * @throws SprawlError BACKUP_FOLDER_REFUSED for a folder that holds data, ARCHIVE_MISSING, ARCHIVE_DAMAGED, ARCHIVE_UNREACHABLE, USAGE, those of storage
 */
export async function restoreFromArchive(
  config: Config,
  origins: readonly string[],
  onProgress: (rows: number) => void,
): Promise<ArchiveRestoreReport> {
  const folder = resolve(config.dataDir);
  if (await isFolderUsed(config)) {
    throw new SprawlError(
      'BACKUP_FOLDER_REFUSED',
      `${folder} holds data: restore to another folder (--data-dir), or move this one aside`,
      { details: { folder } },
    );
  }
  const { origin, rows, newest } = await readNewest(config, origins, onProgress);
  await writeRetained(config, newest);
  return { origin, rows, retained: newest.size };
}

function readNewest(
  config: Config,
  prefixes: readonly string[],
  onProgress: (rows: number) => void,
): Promise<{ readonly origin: GatewayId; readonly rows: number; readonly newest: Map<string, Newest> }> {
  return withArchive(config, async (store) => {
    const catalog = new Catalog(store);
    const selection = { origins: prefixes, fromMs: -Infinity, toMs: Infinity, filters: [] };
    const [origin, ...others] = await catalog.selectedOrigins(selection);
    if (origin === undefined || others.length > 0) {
      const all = [origin, ...others].filter((one) => one !== undefined).join(', ');
      throw new SprawlError(
        'ARCHIVE_MISSING',
        origin === undefined
          ? `${store.name} has nothing of such a gateway: "sprawl-edge archive ls" shows what it has`
          : `${store.name} is of several gateways: --origin says which one was lost (${all})`,
      );
    }
    const newest = new Map<string, Newest>();
    let rows = 0;
    for await (const batch of readSelection(catalog, { ...selection, origins: [origin] })) {
      rows += batch.length;
      for (const row of batch) if (row.retain) take(newest, row);
      onProgress(rows);
    }
    for (const [topic, { payload }] of newest) if (payload.length === 0) newest.delete(topic);
    return { origin, rows, newest };
  });
}

function take(newest: Map<string, Newest>, row: StoredRow): void {
  const { topic, sequence, timeMs, properties, payload, facts } = row;
  const epoch = facts.epoch.counter;
  const known = newest.get(topic);
  if (known !== undefined && (known.epoch > epoch || (known.epoch === epoch && known.sequence > sequence)))
    return;
  // The bytes are those of a file: one message would keep all of it.
  newest.set(topic, { epoch, sequence, timeMs, properties, qos: row.qos as QoS, payload: payload.slice() });
}

async function writeRetained(config: Config, newest: ReadonlyMap<string, Newest>): Promise<void> {
  const { dataDir, storage, limits, mesh } = config;
  const { schedule, timers } = toolPartsOf(config, () => undefined);
  let wallMs = realClock.wall();
  const store = createDiskStore(
    { dataDir, ...storage, ...limits, floorsMaxBytes: mesh.peerKeepMaxBytes },
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
  try {
    let count = 0;
    for (const [topic, one] of newest) {
      wallMs = one.timeMs;
      const message = messageOf(topic, one);
      store.append(message, undefined);
      store.retained.set(message);
      if (++count % GROUP_COUNT === 0) await store.log.flush();
    }
    await store.log.flush();
    wallMs = realClock.wall();
    // They are in the archive: it is not to have them twice.
    for (const name of ARCHIVE_FLOORS) store.setFloor(name, store.committed + 1);
  } finally {
    await store.close();
  }
}

function messageOf(topic: string, { qos, properties, payload }: Newest): Message {
  const utf8 = Buffer.from(topic, 'utf8');
  return createMessage({
    ...{ topic, payload, qos, retain: true },
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
