/**
 * Copies a data folder while a gateway uses it, or not:
 *
 *     identity ─▶ lives of others ─▶ newest whole snapshot ─▶ segments, oldest first ─▶ mesh/ ─▶ read back ─▶ backup.json
 *                                          ▲                        │
 *                                          └── one was dropped ◀────┘
 *
 * The newest segment only grows: the copy ends with the last whole record that it had. Older ones stay as they are, but for those that the
 * gateway removes or writes again smaller; where it did so meanwhile, the copy begins again, with what is copied already. Snapshot and log
 * together are the state of one moment. The database is left out; it is made from them. A newer backup in the same
 * folder adds what is new, and the one before stays whole until it is done: see staged-files.ts.
 *
 * What is in `mesh/` is not of that moment, so its order is what makes it fit. The own lives come after the log: a life that the log
 * knows and the backup does not would be told to others as another branch, and what they have of it would come to them again. The
 * lives of others come before it: a gateway writes them down only after the log has what it concluded from them.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { readIdentity, STORE_FORMAT_VERSION } from '../disk/identity.js';
import { type Layout, layoutOf } from '../disk/layout.js';
import { crc32c } from '../log/crc32c.js';
import { parseSegmentFileName, SEGMENT_HEADER_BYTES } from '../log/segment-header.js';
import { scanSegment } from '../log/segment-scan.js';
import { readSegmentHeader } from '../log/segment.js';
import { listSnapshots, readSnapshot, type SnapshotFile } from '../state/snapshot.js';
import {
  BACKUP_FORMAT_VERSION,
  type BackupFile,
  BackupJournal,
  type BackupManifest,
  isMeshFile,
  writeManifest,
} from './backup-manifest.js';
import { areNested, expectDataFolder, sizeOf, type ToolParts } from './data-folder.js';
import { copyFile, hashFile } from './file-copy.js';
import { lookAtIdentity } from './folder-identity.js';
import { StagedFiles } from './staged-files.js';

/** Of a backup, as of a data folder. */
const FOLDERS = ['log', 'snapshots', 'mesh'] as const;
/** How often the gateway may have dropped what was about to be copied. */
const ATTEMPTS_MAX_COUNT = 20;
/** What tells a folder for backups from others, from its first moment on. */
const BACKUP_NAME = /^backup\.(unfinished\.)?json(\.new)?$/;

export interface BackupReport {
  readonly manifest: BackupManifest;
  readonly bytes: number;
  /** Of these, what an earlier run had copied. */
  readonly knownBytes: number;
  /** What somebody should look at, in sentences. */
  readonly warnings: readonly string[];
}

/** A file as it is to be copied. */
interface Wanted {
  readonly path: string;
  readonly bytes: number;
  /** More than `bytes` may be there by now. */
  readonly isGrowing?: boolean;
}

/** @throws SprawlError STORAGE_MISSING, STORAGE_CORRUPT, STORAGE_FULL, STORAGE_IO, BACKUP_FOLDER_REFUSED */
export async function backupFolder(parts: ToolParts, target: string): Promise<BackupReport> {
  const layout = await expectDataFolder(parts);
  const { id, fault } = await lookAtIdentity(parts.files, layout);
  if (id === undefined || fault !== undefined)
    throw new SprawlError(
      'STORAGE_CORRUPT',
      `${layout.identity} is missing or damaged; run "sprawl-edge storage repair" first`,
      { details: { path: layout.identity } },
    );
  await checkTarget(parts, layout.folder, target, id);
  return new Backup(parts, layout, target, id).run();
}

async function checkTarget(
  { files }: ToolParts,
  folder: string,
  target: string,
  id: Uint8Array,
): Promise<void> {
  const refused = (why: string): SprawlError =>
    new SprawlError('BACKUP_FOLDER_REFUSED', `${target} cannot take the backup: ${why}`, {
      details: { folder: target },
    });
  if (await areNested(files, folder, target))
    throw refused(`it and the data folder ${folder} are one within the other; name another folder`);
  const names = await files.list(target);
  const isBackup = names.some((name) => BACKUP_NAME.test(name));
  if (!isBackup) {
    if (names.some((name) => name !== 'lost+found'))
      throw refused('it holds something else; name a new folder, or an empty one');
    return;
  }
  const known = await readIdentity(files, layoutOf(target)).catch(() => undefined);
  if (known !== undefined && Buffer.compare(known, id) !== 0)
    throw refused('it holds the backup of another gateway; name another folder');
}

class Backup {
  readonly #parts: ToolParts;
  readonly #layout: Layout;
  readonly #target: string;
  readonly #identity: Uint8Array;
  readonly #journal: BackupJournal;
  readonly #staged: StagedFiles;
  readonly #warnings = new Set<string>();
  /** Whole or not. */
  #newestSnapshot: LogPosition = 0;
  #knownBytes = 0;
  #doneBytes = 0;
  #allBytes = 0;

  constructor(parts: ToolParts, layout: Layout, target: string, identity: Uint8Array) {
    this.#parts = parts;
    this.#layout = layout;
    this.#target = target;
    this.#identity = identity;
    this.#journal = new BackupJournal(parts.files, target);
    this.#staged = new StagedFiles(parts.files, target);
  }

  async run(): Promise<BackupReport> {
    const { files } = this.#parts;
    await files.makeFolder(this.#target);
    const before = await this.#journal.open();
    await this.#staged.open(before, [this.#target, ...FOLDERS.map((name) => `${this.#target}/${name}`)]);
    await this.#journal.save();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#copyAll();
      } catch (error) {
        if (!(error instanceof SprawlError) || error.code !== 'STORAGE_MISSING') throw error;
        // The gateway dropped it meanwhile: what was copied is still good.
        if (attempt < ATTEMPTS_MAX_COUNT) continue;
        throw new SprawlError(
          'STORAGE_IO',
          `the gateway drops parts of the log faster than ${this.#target} takes them (${error.message}); try again when less is published, or with the gateway stopped`,
          { cause: error, retryable: true },
        );
      }
    }
  }

  async #copyAll(): Promise<BackupReport> {
    this.#knownBytes = 0;
    const copied: BackupFile[] = [await this.#copySmall(this.#layout.identity)];
    const isOfOthers = (path: string): boolean => path === this.#layout.lineages;
    copied.push(...(await this.#copyMesh(isOfOthers)));
    const snapshot = await this.#copySnapshot(copied);
    const { segments, first, last } = await this.#segmentsToCopy(snapshot);
    this.#doneBytes = 0;
    this.#allBytes = segments.reduce((sum, { bytes }) => sum + bytes, 0);
    await this.#checkSpace(segments);
    for (const segment of segments) copied.push(await this.#copy(segment));
    await this.#expectUnchanged(segments, copied);
    // After what is encrypted with them: the newest of them is in it.
    for (const path of [this.#layout.keys, `${this.#layout.keys}.copy`])
      if ((await sizeOf(this.#parts.files, path)) > 0) copied.push(await this.#copySmall(path));
    copied.push(...(await this.#copyMesh((path) => !isOfOthers(path))));
    await this.#readBack(copied);
    const manifest: BackupManifest = {
      formatVersion: BACKUP_FORMAT_VERSION,
      storeFormatVersion: STORE_FORMAT_VERSION,
      identity: Buffer.from(this.#identity).toString('hex'),
      madeAtMs: this.#parts.clock.wall(),
      snapshot,
      first,
      last,
      files: copied,
    };
    await writeManifest(this.#parts.files, this.#target, manifest);
    await this.#staged.settle();
    await this.#journal.remove();
    await this.#removeOthers(copied);
    const bytes = copied.reduce((sum, file) => sum + file.bytes, 0);
    return { manifest, bytes, knownBytes: this.#knownBytes, warnings: [...this.#warnings] };
  }

  async #copySmall(from: string): Promise<BackupFile> {
    const { files } = this.#parts;
    const path = from.slice(this.#layout.folder.length + 1);
    const to = this.#staged.targetOf(path);
    const file = { path, ...(await copyFile(files, from, to, undefined, () => undefined)) };
    await this.#staged.copied(file);
    return file;
  }

  /** Who the gateway is in its mesh: with it, the restored one goes on there. */
  async #copyMesh(isWanted: (path: string) => boolean): Promise<BackupFile[]> {
    const copied: BackupFile[] = [];
    for (const name of await this.#parts.files.list(this.#layout.mesh)) {
      const path = `${this.#layout.mesh}/${name}`;
      if (isMeshFile(`mesh/${name}`) && isWanted(path)) copied.push(await this.#copySmall(path));
    }
    return copied;
  }

  /** The newest that is whole. @returns its position; 0: there is none */
  async #copySnapshot(copied: BackupFile[]): Promise<LogPosition> {
    const { files } = this.#parts;
    const snapshots = await listSnapshots(files, this.#layout.snapshots);
    this.#newestSnapshot = snapshots[0]?.position ?? 0;
    for (const { path, position } of snapshots) {
      const name = `snapshots/${path.slice(path.lastIndexOf('/') + 1)}`;
      const bytes = await sizeOf(files, path);
      this.#doneBytes = 0;
      this.#allBytes = bytes;
      const file = await this.#copy({ path: name, bytes });
      const copy = this.#staged.pathOf(name);
      if (await this.#isWhole({ path: copy, position })) {
        copied.push(file);
        return position;
      }
      this.#journal.forget(name);
      await files.remove(copy);
      this.#warnings.add(`${path} is damaged and was left out`);
    }
    return 0;
  }

  async #isWhole(snapshot: SnapshotFile): Promise<boolean> {
    try {
      await readSnapshot(this.#parts.files, snapshot, this.#identity, () => undefined);
      return true;
    } catch (error) {
      if (error instanceof SprawlError && error.code === 'STORAGE_CORRUPT') return false;
      throw error;
    }
  }

  async #segmentsToCopy(
    snapshot: LogPosition,
  ): Promise<{ readonly segments: Wanted[]; readonly first: LogPosition; readonly last: LogPosition }> {
    const { files } = this.#parts;
    const names = (await files.list(this.#layout.log)).filter(
      (name) => parseSegmentFileName(name) !== undefined,
    );
    const first = parseSegmentFileName(names[0] ?? '') ?? snapshot + 1;
    if (first > snapshot + 1) {
      // The gateway has made another snapshot since.
      if (((await listSnapshots(files, this.#layout.snapshots))[0]?.position ?? 0) > this.#newestSnapshot)
        throw new SprawlError('STORAGE_MISSING', `${this.#layout.log} begins at ${first}`);
      throw new SprawlError(
        'STORAGE_CORRUPT',
        `the log begins at position ${first}, and there is no whole snapshot from which it goes on: stop the gateway and run "sprawl-edge storage compact", which writes one, then back up again`,
        { details: { first, snapshot } },
      );
    }
    const segments: Wanted[] = [];
    for (;;) {
      const newest = names.pop();
      if (newest === undefined) return { segments, first, last: first - 1 };
      const end = await this.#lastRecord(`${this.#layout.log}/${newest}`);
      if (end === undefined) continue;
      for (const name of names)
        segments.push({ path: `log/${name}`, bytes: await sizeOf(files, `${this.#layout.log}/${name}`) });
      segments.push({ path: `log/${newest}`, bytes: end.bytes, isGrowing: true });
      return { segments, first, last: end.last };
    }
  }

  /** Where the last whole record of the newest segment ends. @returns undefined where the segment is only being made */
  async #lastRecord(
    path: string,
  ): Promise<{ readonly last: LogPosition; readonly bytes: number } | undefined> {
    const file = await this.#parts.files.open(path, 'read');
    try {
      const size = await file.size();
      const header = await readSegmentHeader(file, path);
      if (header === undefined) {
        if (size <= SEGMENT_HEADER_BYTES) return undefined;
        this.#warnings.add(`${path} has a damaged header and was copied as it is`);
        return {
          last: (parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1)) as number) - 1,
          bytes: size,
        };
      }
      const range = { offset: SEGMENT_HEADER_BYTES, position: header.first, end: size };
      const seed = crc32c(this.#identity, 0, this.#identity.length);
      // Without its seal, which says that another segment follows.
      const { end, next, damage } = await scanSegment(file, range, seed, () => undefined);
      if (damage.length > 0)
        this.#warnings.add(`${path} has damaged records; "sprawl-edge storage verify" names them`);
      return { last: next - 1, bytes: end };
    } finally {
      await file.close();
    }
  }

  async #checkSpace(segments: readonly Wanted[]): Promise<void> {
    const { files } = this.#parts;
    let needed = 0;
    for (const wanted of segments) if (!(await this.#isThere(wanted))) needed += wanted.bytes;
    const free = await files.freeBytes(this.#target);
    if (needed <= free) return;
    throw new SprawlError(
      'STORAGE_FULL',
      `the backup needs ${needed} bytes more in ${this.#target}, and ${free} are free there: free some, or name a folder on another disk`,
      { details: { needed, free } },
    );
  }

  async #isThere({ path, bytes }: Wanted): Promise<boolean> {
    const known = this.#journal.get(path);
    if (known === undefined || known.bytes !== bytes) return false;
    return (await sizeOf(this.#parts.files, `${this.#target}/${path}`)) === bytes;
  }

  async #copy(wanted: Wanted): Promise<BackupFile> {
    const { path, bytes } = wanted;
    const known = this.#journal.get(path);
    if (known !== undefined && (await this.#isThere(wanted))) {
      this.#knownBytes += bytes;
      this.#tell('copying', bytes);
      return known;
    }
    const from = `${this.#layout.folder}/${path}`;
    const to = this.#staged.targetOf(path);
    const limit = wanted.isGrowing === true ? bytes : undefined;
    const copied = await copyFile(this.#parts.files, from, to, limit, (read) => this.#tell('copying', read));
    const file = { path, ...copied };
    await this.#staged.copied(file);
    // What is not in its place yet is copied again where this is interrupted.
    if (!this.#staged.has(path)) await this.#journal.add(file);
    return file;
  }

  /**
   * What the gateway removed or wrote again smaller, it did because of what is in the log behind what was copied. @throws SprawlError
   * STORAGE_MISSING
   */
  async #expectUnchanged(segments: readonly Wanted[], copied: readonly BackupFile[]): Promise<void> {
    for (const { path, isGrowing } of segments) {
      const size = await sizeOf(this.#parts.files, `${this.#layout.folder}/${path}`);
      const bytes = copied.find((file) => file.path === path)?.bytes ?? 0;
      if (size === bytes || (isGrowing === true && size > bytes)) continue;
      throw new SprawlError('STORAGE_MISSING', `${path} was removed or written again`);
    }
  }

  async #readBack(copied: readonly BackupFile[]): Promise<void> {
    this.#doneBytes = 0;
    this.#allBytes = copied.reduce((sum, { bytes }) => sum + bytes, 0);
    const bad: string[] = [];
    for (const { path, bytes, sha256 } of copied) {
      const copy = this.#staged.pathOf(path);
      const found = await hashFile(this.#parts.files, copy, bytes, (read) =>
        this.#tell('reading back', read),
      );
      if (found === sha256) continue;
      bad.push(copy);
      this.#journal.forget(path);
    }
    const [first] = bad;
    if (first === undefined) return;
    await this.#journal.save();
    throw new SprawlError(
      'STORAGE_CORRUPT',
      `${first}${bad.length > 1 ? ` and ${bad.length - 1} more files do` : ' does'} not read back as written: run the backup again, and where that does not help use another disk`,
      { details: { paths: bad }, retryable: true },
    );
  }

  /** What only an older backup needed. */
  async #removeOthers(copied: readonly BackupFile[]): Promise<void> {
    const { files } = this.#parts;
    const wanted = new Set(copied.map(({ path }) => path));
    for (const folder of FOLDERS)
      for (const name of await files.list(`${this.#target}/${folder}`))
        if (!wanted.has(`${folder}/${name}`)) await files.remove(`${this.#target}/${folder}/${name}`);
  }

  #tell(doing: string, bytes: number): void {
    this.#doneBytes += bytes;
    this.#parts.onProgress({ doing, doneBytes: this.#doneBytes, ofBytes: this.#allBytes });
  }
}
