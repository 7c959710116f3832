/** Whether and how a gateway archives what it takes in, by its configuration and its data folder. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type {
  Archive,
  ArchivePorts,
  ArchiveSettings,
  FinishAnswer,
  RelayClient,
  TargetSettings,
} from '../bridge/index.js';
import { type GatewayIdentity, type Mesh, openIdentity, siteNameOf } from '../mesh/index.js';
import type { Lanes } from './broker/lanes.js';
import { queryArchive } from './archive-query.js';
import type { MessageQuery } from './archive-tools.js';
import { archiveKeysOf } from './archive-keys.js';
import { type Config, parseColumn, parseHours } from './config/index.js';
import type { ArchivesStatus } from './contracts/archive-status.js';
import type { Clock } from './contracts/clock.js';
import { SprawlError } from './contracts/errors.js';
import type { Lineage } from './contracts/epoch.js';
import type { GatewayId } from './contracts/gateway-id.js';
import type { Logger } from './contracts/logger.js';
import type { ArchiveFloor, LogPosition, Store } from './contracts/store.js';
import type { OwnMessages } from './contracts/streams.js';
import type { LogQuery } from './http/index.js';
import { type ArchiveService, openArchiveService, openRelayClient } from './gateway-relay.js';
import { createStandby, letStandbyGo } from './gateway-standby.js';
import { minuteOfDay, realTimers } from './real-clock.js';
import { C, type Counters } from './telemetry/counters.js';
import { readAuthorities } from './tls-files.js';

const SPOOL = 'archive-spool';
const CLIENT_MESSAGES = [
  ...[C.messagesReceivedQoS0, C.messagesReceivedQoS1, C.messagesReceivedQoS2],
  ...[C.messagesSentQoS0, C.messagesSentQoS1, C.messagesSentQoS2],
];

export interface ArchiveParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly lanes: Lanes;
  readonly mesh: Mesh | undefined;
}

export interface GatewayArchive {
  /** Why messages are refused; undefined: they are not. */
  readonly refusal: string | undefined;
  /** Why the gateway is not well; empty: the archive is no reason. */
  readonly troubles: readonly string[];
  /** After the mesh: the life of the gateway has to have begun. @throws SprawlError MESH_FILE_FAILED */
  start(): Promise<void>;
  tick(): void;
  stop(): Promise<void>;
  status(): ArchivesStatus;
  /** Reads the keys again. @returns puts them in force @throws SprawlError ARCHIVE_KEY_INVALID */
  prepareKeys(): Promise<() => void>;
  /** See queryArchive. */
  messages(query: MessageQuery): AsyncIterable<Uint8Array>;
  /** What the log has, for those who compare it with the archive: see logLines. @throws the reason of the signal */
  log(query: LogQuery): AsyncIterable<Uint8Array>;
  /** Brings what is kept here of the archive of another gateway into it, see Standby.finish. @returns why not, as text */
  finish(gateway: string, tellsRest: boolean): FinishAnswer | string;
}

/** Who a gateway is, and its lives: those of its mesh, or of its data folder alone. */
interface Self {
  readonly id: GatewayId;
  readonly site: string;
  lineage(): Lineage;
  begin(): Promise<void>;
  beyond(counter: number): void;
}

/** undefined: nothing is archived. @throws SprawlError TLS_FILE_INVALID, ARCHIVE_KEY_INVALID, MESH_FILE_FAILED, MESH_FILE_DAMAGED */
export async function openArchive(config: Config, parts: ArchiveParts): Promise<GatewayArchive | undefined> {
  if (config.archive.topics.length === 0) return undefined;
  const { clock, logger, store, lanes, mesh } = parts;
  const self = mesh === undefined ? await alone(config, parts) : memberOf(mesh);
  const full = new Set<ArchiveFloor>();
  const relay = await openRelayClient(config, parts);
  const paces = await pacesOf(parts);
  const create = (settings: ArchiveSettings, through?: RelayClient): Promise<Archive> =>
    createArchive(settings, paces, {
      relay: through,
      ...{ self: self.id, origin: self.id, store, clock, timers: realTimers, minuteOfDay },
      logger: settings.name === 'archive' ? logger : logger.child({ archive: settings.name }),
      setFull: (isFull) => {
        if (isFull) full.add(settings.name);
        else full.delete(settings.name);
        store.setFull(full.size > 0);
      },
      lineage: () => self.lineage(),
      beyond: (counter) => self.beyond(counter),
      whenCommitted: (done, position) => lanes.whenCommitted(done, position),
    });
  const settings = await settingsOf(config, self.site);
  const archive = await create(settings, relay);
  const standby = mesh && (await createStandby(config, settings, { ...parts, mesh, archive, paces }));
  const copySettings = await copySettingsOf(config, self.site);
  const copy = copySettings && (await create(copySettings));
  const all = copy === undefined ? [archive] : [archive, copy];
  return {
    get refusal() {
      return all.find(({ refusal }) => refusal !== undefined)?.refusal;
    },
    get troubles() {
      return all.flatMap(({ trouble }) => trouble ?? []);
    },
    start: async () => {
      await self.begin();
      for (const one of all) one.start();
      if (standby !== undefined) standby.start();
      else letStandbyGo(config, parts);
    },
    tick: () => {
      for (const one of all) one.tick();
      standby?.tick();
    },
    stop: async () => {
      await Promise.all([...all, standby].map((one) => one?.stop()));
      relay?.close();
    },
    status: () => ({
      ...archive.status(),
      copy: copy?.status() ?? null,
      standby: standby?.status() ?? [],
    }),
    prepareKeys: async () => {
      const keys = await archiveKeysOf(config);
      return () => {
        for (const one of [...all, standby]) one?.setKeys(keys);
      };
    },
    finish: (gateway, tellsRest) =>
      standby?.finish(gateway, tellsRest) ??
      'this gateway is in no mesh: nothing is kept here of the archives of others',
    messages: (query) => queryArchive(config, query),
    log: (query) => linesOfLog(self, parts, query),
  };
}

/** Who asks for the log holds as much in memory, and need not keep a connection while it does something else. */
const LOG_ANSWER_BYTES = 1_048_576;
/** Whoever compares has time: between two blocks the thread is left to clients for three times as long as a block took. */
const LOG_REST_SHARE = 3;
/** What took longer was waited for, not worked on. */
const LOG_REST_MAX_MS = 100;

async function* linesOfLog(
  self: Self,
  { store, clock }: ArchiveParts,
  { after, upTo, signal }: LogQuery,
): AsyncGenerator<Uint8Array> {
  const { BLOCK_BYTES, logLines } = await import('../bridge/index.js');
  const { first, committed } = store;
  let beganAt = clock.now();
  const ports = {
    readOwn: async (from: LogPosition) => {
      signal.throwIfAborted();
      beganAt = clock.now();
      return new Promise<OwnMessages>((resolve) =>
        store.readOwn(from, BLOCK_BYTES, resolve, { passed: true }),
      );
    },
    pause: () => {
      const restMs = Math.min(LOG_REST_SHARE * (clock.now() - beganAt), LOG_REST_MAX_MS);
      return new Promise<void>((resolve) => void realTimers.after(restMs, resolve));
    },
  };
  const facts = { origin: self.id, lineage: self.lineage(), first, committed };
  yield* logLines(facts, ports, { after, upTo: Math.min(upTo, committed), maxBytes: LOG_ANSWER_BYTES });
}

/** What the gateway does in its archive for others; undefined: nothing. @throws SprawlError CONFIG_INVALID */
export async function openServed(config: Config, parts: ArchiveParts): Promise<ArchiveService | undefined> {
  if (!config.archive.forPeers) return undefined;
  return openArchiveService(config, await targetOf(config.archive), parts);
}

async function createArchive(
  settings: ArchiveSettings,
  paces: ReadPaces,
  ports: Omit<ArchivePorts, 'rows' | 'inTurns'> & Pick<ArchiveParts, 'store'>,
): Promise<Archive> {
  // A gateway without an archive does without its code.
  const { Archive, LogRows } = await import('../bridge/index.js');
  const { store } = ports;
  try {
    return new Archive(settings, {
      ...ports,
      inTurns: () => paces.inTurns,
      rows: (topics, steps, readBytes) => new LogRows(store, topics, steps, paces.create(), readBytes),
    });
  } catch (error) {
    throw new SprawlError('CONFIG_INVALID', error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}

/** Clients come first. */
export interface ReadPaces {
  /** One for each reader of the log for an archive: resolves when so many bytes may be read. */
  create(): (bytes: number) => Promise<void>;
  /** See ArchivePorts. */
  readonly inTurns: boolean;
}

async function pacesOf({ clock, store, lanes }: ArchiveParts): Promise<ReadPaces> {
  const { DrainRate, Pace } = await import('../bridge/index.js');
  const rate = new DrainRate(clock, store, () => messagesOf(lanes.counters));
  return {
    create: () => {
      const pace = new Pace(() => rate.perSecond, clock, realTimers);
      return (bytes) => pace.through(bytes);
    },
    get inTurns() {
      return rate.isGentle;
    },
  };
}

/** Of clients. */
function messagesOf(counters: Counters): number {
  let sum = 0;
  for (const counter of CLIENT_MESSAGES) sum += counters[counter] as number;
  return sum;
}

function memberOf(mesh: Mesh): Self {
  return {
    ...{ id: mesh.node.self, site: mesh.settings.site },
    lineage: () => mesh.node.lineage,
    begin: () => Promise.resolve(),
    beyond: (counter) => mesh.node.archiveKnows(counter),
  };
}

/** A gateway that is in no mesh has an identity all the same: where it joins one later, its archive goes on. */
async function alone({ dataDir, mesh }: Config, { store, logger }: ArchiveParts): Promise<Self> {
  const folder: GatewayIdentity = await openIdentity(resolve(dataDir), { randomBytes, logger });
  let isBearing = false;
  return {
    ...{ id: folder.id, site: mesh.site ?? siteNameOf(hostname()) },
    lineage: () => folder.lineage,
    begin: async () => void (await folder.startEpoch(folder.lineage.length === 0 ? 0 : store.committed)),
    beyond: (counter) => {
      if (isBearing) return;
      isBearing = true;
      logger.error(
        'this gateway was put back to an old copy of its data folder: its archive knows a later start than this gateway remembers. It goes on from what it has',
        { known: counter },
      );
      folder
        .startEpoch(store.committed, counter)
        .catch((error: unknown) =>
          logger.error('a new start cannot be written down', { reason: String(error) }),
        )
        .finally(() => (isBearing = false));
    },
  };
}

async function settingsOf(config: Config, site: string): Promise<ArchiveSettings> {
  const { archive, dataDir } = config;
  const { topics, format, compression, partitionBy, partitionTopicLevels, columns } = archive;
  const { fileMaxBytes, fileMaxCount, fileMaxAgeS, backlogMaxBytes, whenFull } = archive;
  return {
    name: 'archive',
    ...{ topics, format, compression, fileMaxBytes, fileMaxCount, backlogMaxBytes, whenFull, site },
    target: await targetOf(archive),
    keys: await archiveKeysOf(config),
    partitions: { by: partitionBy, topicLevels: partitionTopicLevels },
    columns: columns.map(parseColumn),
    fileMaxAgeMs: fileMaxAgeS * 1000,
    maxBytesPerSecond: archive.uploadMaxBytesPerSecond,
    hours: archive.uploadHours.map(parseHours),
    spoolFolder: join(resolve(dataDir), SPOOL),
  };
}

/** undefined: there is no second target. */
async function copySettingsOf(config: Config, site: string): Promise<ArchiveSettings | undefined> {
  const { copyTarget, copyS3 } = config.archive;
  if (copyTarget === undefined) return undefined;
  const settings = await settingsOf(config, site);
  return {
    ...settings,
    name: 'archive-copy',
    target: await targetOf({ target: copyTarget, s3: copyS3 }, 'archive.copyS3'),
    spoolFolder: `${settings.spoolFolder}-copy`,
  };
}

/** @throws SprawlError TLS_FILE_INVALID for a file of certificates that cannot be read */
async function targetOf(
  { target, s3 }: Pick<Config['archive'], 'target' | 's3'>,
  key = 'archive.s3',
): Promise<TargetSettings> {
  const { caFile, ...rest } = s3;
  const ca = caFile === undefined ? undefined : (await readAuthorities(`${key}.caFile`, caFile)).toString();
  return { target, s3: { ...rest, ca } };
}
