/** What reads an archive, for the command line and HTTP: the only module that knows both the bridge and a configuration, besides the gateway. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Catalog, NothingArchived } from '../bridge/archive/reading/catalog.js';
import { ObjectDamage } from '../bridge/archive/reading/checked-object.js';
import { readSelection } from '../bridge/archive/reading/archive-reader.js';
import { EVERYTHING, type Selection } from '../bridge/archive/reading/object-place.js';
import { linesOf } from '../bridge/archive/reading/row-lines.js';
import type { CompactedOrigin } from '../bridge/archive/compaction/compactor.js';
import { KeyMissing } from '../bridge/archive/encryption/object-keys.js';
import { ManifestFault } from '../bridge/archive/manifest-entry.js';
import { MergeFault } from '../bridge/archive/merge-record.js';
import { ObjectFault, type ObjectFaultKind, type ObjectStore } from '../bridge/archive/object-store.js';
import type { S3Lifecycle } from '../bridge/archive/s3-lifecycle.js';
import { folderFault, openLifecycle, openTarget, type TargetSettings } from '../bridge/archive/target.js';
import { archiveKeysOf, type ArchiveKeySources } from './archive-keys.js';
import type { Config } from './config/index.js';
import { peerOfTarget } from './contracts/archive-target.js';
import { SprawlError } from './contracts/errors.js';
import { realClock } from './real-clock.js';
import { readAuthorities } from './tls-files.js';
import { version } from './version.js';

export { type BucketFinding, judgeBucket, timeText } from '../bridge/archive/bucket-judgement.js';
export {
  areasOf,
  type BucketRule,
  type BucketState,
  touches,
  type Versioning,
} from '../bridge/archive/bucket-rule.js';
export { ownRuleIds, ownRules, type RuleWishes } from '../bridge/archive/own-rules.js';
export type { PendingUpload, RuleSet, S3Lifecycle } from '../bridge/archive/s3-lifecycle.js';
export { checkArchive, type CheckedOrigin, type Finding } from '../bridge/archive/reading/archive-check.js';
export { checkAgainstLog, type CheckedLog } from '../bridge/archive/proof/log-check.js';
export { BLOCK_BYTES, logBlocks } from '../bridge/archive/proof/log-blocks.js';
export {
  decodeFacts,
  decodeLine,
  type GatewayLog,
  type LogBlock,
  type LogMark,
} from '../bridge/archive/proof/log-mark.js';
export type { Amount, Removed } from '../bridge/archive/compaction/removal.js';
export type { CompactedOrigin } from '../bridge/archive/compaction/compactor.js';
export { readInOrder, readSelection } from '../bridge/archive/reading/archive-reader.js';
export { Catalog, type CatalogObject, objectsOf } from '../bridge/archive/reading/catalog.js';
export { comparePlaces, RecentRows, type RowPlace } from '../bridge/archive/reading/recent-rows.js';
export { mayHold, type Selection } from '../bridge/archive/reading/object-place.js';
export { linesOf } from '../bridge/archive/reading/row-lines.js';
export type { RowBatch, StoredRow } from '../bridge/archive/reading/stored-row.js';
export type { ObjectStore } from '../bridge/archive/object-store.js';

const WAY_OUT: Readonly<Record<ObjectFaultKind, string>> = {
  busy: 'try again later',
  unreachable: 'is the network there, and archive.s3.endpoint right?',
  unknown: 'try again',
  denied: 'may this user, or these credentials, read it?',
  clock: 'set the clock of this machine',
  full: 'make room',
  missing: 'archive.target (--target) says where the archive is',
  other: 'try again, or see the store',
};

const NO_SPACE: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** What says where an archive is. */
export type ArchivePlace = Pick<Config['archive'], 'target' | 's3'> & ArchiveKeySources;

/** Whether an archive answers, or could be begun; nothing is written. Never rejects. @param dataDir what is below it the gateway makes itself */
export async function lookAtArchive(
  archive: ArchivePlace,
  dataDir: string,
): Promise<{
  readonly name: string;
  readonly tookMs: number;
  readonly fault: string | undefined;
  readonly isMisconfigured: boolean;
}> {
  const startedAt = realClock.now();
  const seen = (
    fault: string | undefined,
    isMisconfigured = false,
  ): Awaited<ReturnType<typeof lookAtArchive>> => ({
    ...{ name: archive.target, fault, isMisconfigured },
    tookMs: realClock.now() - startedAt,
  });
  try {
    await withArchive({ archive }, (store) => store.stat('manifest/none'));
    const isBelow = archive.target.startsWith(pathToFileURL(`${resolve(dataDir)}/`).href);
    return seen(isBelow ? undefined : await folderFault(archive.target));
  } catch (error) {
    const isOurs = error instanceof SprawlError && error.code === 'ARCHIVE_KEY_INVALID';
    return seen(error instanceof Error ? error.message : String(error), isOurs);
  }
}

/** Runs `task` on the archive of a configuration, with its keys. @throws SprawlError ARCHIVE_… for what the store and the objects say, ARCHIVE_ELSEWHERE, TLS_FILE_INVALID */
export async function withArchive<T>(
  { archive }: { readonly archive: ArchivePlace },
  task: (store: ObjectStore) => Promise<T>,
): Promise<T> {
  const keys = await archiveKeysOf({ archive });
  const { objects, close } = await openTarget(await placeOf(archive), keys);
  try {
    return await task(objects);
  } catch (error) {
    throw archiveFailure(error);
  } finally {
    close();
  }
}

/** Runs `task` on the rules of the bucket of a configuration; undefined: the archive is in a folder. @throws SprawlError as `withArchive` */
export async function withLifecycle<T>(
  { archive }: Pick<Config, 'archive'>,
  task: (lifecycle: S3Lifecycle | undefined) => Promise<T>,
): Promise<T> {
  const lifecycle = await openLifecycle(await placeOf(archive));
  try {
    return await task(lifecycle);
  } catch (error) {
    throw archiveFailure(error);
  } finally {
    lifecycle?.close();
  }
}

/** @throws SprawlError ARCHIVE_ELSEWHERE, TLS_FILE_INVALID */
async function placeOf({ target, s3 }: ArchivePlace): Promise<TargetSettings> {
  const { caFile, ...rest } = s3;
  if (peerOfTarget(target) !== undefined)
    throw new SprawlError(
      'ARCHIVE_ELSEWHERE',
      `archive.target is ${target}: what this gateway archives is in the archive of another one, and "sprawl-edge archive status" says of which. Run this there, or give the place of that archive with --target`,
      { details: { target } },
    );
  const ca =
    caFile === undefined ? undefined : (await readAuthorities('archive.s3.caFile', caFile)).toString();
  return { target, s3: { ...rest, ca } };
}

/** What the user is told; everything else as it is. */
function archiveFailure(error: unknown): unknown {
  if (error instanceof NothingArchived)
    return new SprawlError(
      'ARCHIVE_MISSING',
      `${error.message}; archive.target (--target) says where one is`,
      {
        cause: error,
      },
    );
  if (error instanceof ObjectDamage)
    return new SprawlError(
      'ARCHIVE_DAMAGED',
      `${error.message}; "sprawl-edge archive verify --deep" names all that is damaged`,
      { details: { key: error.key }, cause: error },
    );
  if (error instanceof KeyMissing)
    return new SprawlError(
      'ARCHIVE_KEY_MISSING',
      `${error.message}: set archive.encryptionKeyFile to a file with that key, older keys on further lines`,
      { details: { key: error.key, needed: error.needed }, cause: error },
    );
  if (error instanceof ManifestFault)
    return new SprawlError(
      'ARCHIVE_DAMAGED',
      `${error.message}; "sprawl-edge archive verify" names all that is damaged`,
      { details: { origin: error.origin, entry: error.number }, cause: error },
    );
  if (error instanceof MergeFault)
    return new SprawlError(
      'ARCHIVE_DAMAGED',
      `${error.message}; "sprawl-edge archive verify" names all that is damaged`,
      { details: { origin: error.origin, merge: error.number }, cause: error },
    );
  if (error instanceof ObjectFault)
    return new SprawlError(
      'ARCHIVE_UNREACHABLE',
      `${error.message}: ${error.wayOut ?? WAY_OUT[error.kind]}`,
      {
        retryable: error.kind === 'busy' || error.kind === 'unreachable' || error.kind === 'unknown',
        cause: error,
      },
    );
  return error;
}

export interface CompactionSettings {
  /** First characters of the ids of origins; none: all of them. */
  readonly origins: readonly string[];
  /** Default: 16 MiB. */
  readonly minBytes: number | undefined;
  /** Default: 128 MiB. */
  readonly targetBytes: number | undefined;
  /** Default: a day. */
  readonly graceMs: number | undefined;
  readonly isAlone: boolean;
  readonly isDry: boolean;
  /** Objects of older keys, and plain ones, are encrypted with the current key. */
  readonly isRekeying: boolean;
  onProgress(progress: { readonly merges: number; readonly bytes: number }): void;
  /** Is told what whoever runs it has to see to. */
  onWarning(text: string): void;
}

/** Merges small objects of the archive of a configuration, and removes those that were replaced. @throws SprawlError ARCHIVE_… */
export async function compactConfigured(
  config: Pick<Config, 'archive'>,
  { origins, minBytes, targetBytes, graceMs, isAlone, isDry, isRekeying, ...tell }: CompactionSettings,
): Promise<readonly CompactedOrigin[]> {
  // What writes Parquet nobody needs who reads.
  const { ClockNotSet, compactArchive, COMPACTION_DEFAULTS } =
    await import('../bridge/archive/compaction/compactor.js');
  const { SealedSpool } = await import('../bridge/archive/encryption/sealed-spool.js');
  const { FolderSpool } = await import('../bridge/archive/spool.js');
  const { PARQUET_DEFAULTS } = await import('../bridge/archive/parquet-options.js');
  const { HAS_ZSTD } = await import('../bridge/archive/zstd.js');
  const { compression } = config.archive;
  if (compression === 'zstd' && !HAS_ZSTD)
    throw new SprawlError(
      'ARCHIVE_ZSTD_MISSING',
      'archive.compression: zstd needs Node.js 22.15 or later: update it, or choose snappy',
    );
  const { entriesMaxCount, ...defaults } = COMPACTION_DEFAULTS;
  const options = {
    limits: {
      minBytes: minBytes ?? Math.min(defaults.minBytes, targetBytes ?? Infinity),
      targetBytes: targetBytes ?? Math.max(defaults.targetBytes, minBytes ?? 0),
      entriesMaxCount,
    },
    ...{ graceMs: graceMs ?? defaults.graceMs, isAlone, isDry },
    ...{ parquet: { ...PARQUET_DEFAULTS, compression }, by: `sprawl-edge ${version}` },
  };
  const folder = await mkdtemp(join(tmpdir(), 'sprawl-compact-')).catch((error: unknown) => {
    throw temporaryFailure(error);
  });
  try {
    return await withArchive(config, async (store) => {
      const spool = new SealedSpool(new FolderSpool(join(folder, 'spool')), () => store.keys?.[0]);
      const rekeyTo = isRekeying ? currentKeyId(store) : undefined;
      const ports = { store, spool, wallMs: () => realClock.wall(), onProgress: tell.onProgress };
      if (!isDry && !(await store.createsOnce()))
        tell.onWarning(
          `${store.name} cannot tell whether it has an object: run one "archive compact" at a time, and only one`,
        );
      const found = await new Catalog(store).selectedOrigins({ ...EVERYTHING, origins });
      return await compactArchive(ports, found, { ...options, rekeyTo });
    });
  } catch (error) {
    // What the store and the objects say is said by now.
    if (!(error instanceof ClockNotSet)) throw temporaryFailure(error);
    throw new SprawlError('ARCHIVE_CLOCK_UNSET', error.message, { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What a disk says of the folder for temporary files; everything else as it is. */
function temporaryFailure(error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return error;
  const reason = String(error.code);
  const isFull = NO_SPACE.has(reason);
  return new SprawlError(
    isFull ? 'STORAGE_FULL' : 'STORAGE_IO',
    `cannot build files below ${tmpdir()}: ${isFull ? 'no space is left' : 'it takes none'} (${reason}); TMPDIR names another folder for temporary files`,
    { details: { folder: tmpdir(), reason }, cause: error },
  );
}

function currentKeyId({ keys: [current] = [] }: ObjectStore): string {
  if (current !== undefined) return current.id;
  throw new SprawlError(
    'ARCHIVE_KEY_MISSING',
    'to encrypt with another key takes one: archive.encryptionKeyFile has it in its first line, and the older ones behind it',
  );
}

export interface MessageQuery extends Selection {
  /** Messages at most. */
  readonly limit: number;
  /** Nobody wants them any more: the next request to the store is not made. */
  readonly signal: AbortSignal;
}

/** Messages as lines of JSON, some at a time, as they are asked for. @throws SprawlError ARCHIVE_…; the reason of the signal */
export async function* archiveMessages(
  store: ObjectStore,
  { limit, signal, ...selection }: MessageQuery,
): AsyncGenerator<Uint8Array> {
  try {
    const batches = readSelection(new Catalog(whileWanted(store, signal)), selection);
    for await (const lines of linesOf(batches, limit)) {
      yield lines;
      // A client that takes everything at once is not the only one.
      await nextTurn();
    }
  } catch (error) {
    throw archiveFailure(error);
  }
}

/** A store for reading, until the signal comes: what finds nothing yields nothing, and would read on to the end. */
export function whileWanted(store: ObjectStore, signal: AbortSignal): ObjectStore {
  const wanted = (): ObjectStore => {
    signal.throwIfAborted();
    return store;
  };
  return {
    ...(store.keys === undefined ? {} : { keys: store.keys }),
    name: store.name,
    createsOnce: () => wanted().createsOnce(),
    create: (key, body) => wanted().create(key, body),
    read: async (key, range) => wanted().read(key, range),
    stat: async (key) => wanted().stat(key),
    list: (prefix, after) => wanted().list(prefix, after),
    remove: (key) => wanted().remove(key),
  };
}
