/**
 * Puts a data folder into a state from which a gateway starts with everything that is left:
 *
 *     identity ─▶ segments: unreadable, foreign, without a header ─▶ torn end ─▶ snapshots ─▶ database
 *
 * Nothing that was acknowledged is deleted: what cannot be used is set aside under another name, damaged records stay where they are.
 * Each step leaves a folder that the next run goes on with.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { Keyring } from '../crypto/keyring.js';
import type { Vault } from '../crypto/vault.js';
import { writeIdentity } from '../disk/identity.js';
import type { Layout } from '../disk/layout.js';
import type { FileSystem } from '../files/file-system.js';
import { readText, replaceText } from '../files/text-file.js';
import { crc32c } from '../log/crc32c.js';
import { repairSegmentHeader } from '../log/header-repair.js';
import { recoverLog } from '../log/recovery.js';
import { parseSegmentFileName, type SegmentHeader } from '../log/segment-header.js';
import { readSegmentHeader } from '../log/segment.js';
import { expectDataFolder, openVault, type ToolParts, unsealed, withFolderLock } from './data-folder.js';
import { rebuildDatabase } from './database-rebuild.js';
import { dropLostBlocks } from './lost-blocks.js';
import { lookAtIdentity } from './folder-identity.js';
import { type LogSurvey, surveyLog } from './log-survey.js';
import { salvage } from './salvage.js';
import { type DatabaseLook, type FaultAndOwners, type FolderSurvey, isTrusted, survey } from './survey.js';
import { surveySnapshots, unfinishedSnapshots } from './snapshot-survey.js';

export interface RepairReport {
  /** Sentences, in the order of what was done. */
  readonly done: readonly string[];
  /** What could not be had back. */
  readonly lost: readonly FaultAndOwners[];
  /** The folder as it is now. */
  readonly survey: FolderSurvey;
}

/** @throws SprawlError STORAGE_LOCKED, STORAGE_MISSING, STORAGE_FORMAT_NEWER, STORAGE_CORRUPT, STORAGE_FULL, STORAGE_IO */
export async function repairFolder(parts: ToolParts): Promise<RepairReport> {
  const layout = await expectDataFolder(parts);
  return withFolderLock(parts, layout, () => new Repair(parts, layout).run());
}

class Repair {
  readonly #parts: ToolParts;
  readonly #layout: Layout;
  readonly #done: string[] = [];
  #vault: Vault | undefined;

  constructor(parts: ToolParts, layout: Layout) {
    this.#parts = parts;
    this.#layout = layout;
  }

  async run(): Promise<RepairReport> {
    const { files } = this.#parts;
    this.#vault = await openVault(this.#parts, this.#layout);
    const before = await this.#survey();
    await this.#repairKeys();
    const identity = await this.#repairIdentity();
    await this.#repairSegments(identity);
    await this.#recoverLog(identity);
    for (const path of await unfinishedSnapshots(files, this.#layout.snapshots)) {
      await files.remove(path);
      this.#say(`removed ${path}, which was not finished`);
    }
    let found = await this.#survey();
    if (await this.#repairSnapshots(found)) found = await this.#survey();
    if (await this.#repairDatabase(found, identity)) found = await this.#survey();
    return { done: this.#done, lost: lostOf(before, found), survey: found };
  }

  #say(text: string): void {
    this.#done.push(text);
  }

  #survey(): Promise<FolderSurvey> {
    const inPlace: DatabaseLook = (look) => look(this.#parts.openDatabase(this.#layout.index));
    return survey(this.#parts, this.#layout, false, inPlace);
  }

  /** From the file that is whole the other one is made again; what is in that stays, as it may have keys that the whole one has not. */
  async #repairKeys(): Promise<void> {
    if (this.#vault === undefined) return;
    const { files, keyProvider } = this.#parts;
    const { keys } = this.#layout;
    const copy = `${keys}.copy`;
    const [text, other] = [await readText(files, keys), await readText(files, copy)];
    if (text === other) return;
    const isWhole = await Keyring.isWhole(files, keys, await keyProvider.masterKeys());
    const [good, path, damaged] = isWhole ? [text, copy, other] : [other, keys, text];
    if (good === undefined) return;
    if (damaged !== undefined) await files.rename(path, `${path}.bad`);
    await replaceText(files, path, good);
    this.#say(`made ${path} again from ${isWhole ? keys : copy}`);
  }

  async #repairIdentity(): Promise<Uint8Array> {
    const { files } = this.#parts;
    const layout = this.#layout;
    const { id, fault } = await lookAtIdentity(files, layout);
    if (id === undefined) {
      throw new SprawlError(
        'STORAGE_CORRUPT',
        `${layout.folder} cannot be repaired: nothing in it that can be read tells whose it is; restore a backup`,
        { details: { folder: layout.folder } },
      );
    }
    if (fault !== undefined) {
      await writeIdentity(files, layout, id);
      this.#say(`made ${layout.identity} again from the data: ${fault.text}`);
      return id;
    }
    const ofData = await identityOfOthers(files, layout, id);
    if (ofData === undefined) return id;
    await files.rename(layout.identity, `${layout.identity}.bad`);
    await writeIdentity(files, layout, ofData);
    this.#say(`made ${layout.identity} again from the data: the one that was there is of another gateway`);
    return ofData;
  }

  /** Until the log has nothing left that can be put right. */
  async #repairSegments(identity: Uint8Array): Promise<void> {
    const { files } = this.#parts;
    const folder = this.#layout.log;
    await this.#bringBack(identity);
    let found = await surveyLog(this.#parts, folder, identity, false, this.#vault);
    for (const { kind, path } of found.faults) {
      if (kind !== 'unreadable') continue;
      const lost = await salvage(files, path);
      this.#say(
        `copied what can be read of ${path}: ${lost} bytes are lost; the original is ${path}.unreadable`,
      );
    }
    if (found.faults.some(({ kind }) => kind === 'unreadable'))
      found = await surveyLog(this.#parts, folder, identity, false, this.#vault);
    for (const { kind, path } of found.faults) {
      if (kind === 'header') await this.#repairHeader(path, identity, found);
      if (kind !== 'foreign') continue;
      await files.rename(path, `${path}.foreign`);
      await files.syncFolder(folder);
      this.#say(`set ${path} aside as ${path}.foreign: it belongs to another gateway`);
    }
  }

  /** Segments that a start set aside for their headers. */
  async #bringBack(identity: Uint8Array): Promise<void> {
    const { files } = this.#parts;
    const folder = this.#layout.log;
    const names = await files.list(folder);
    for (const bad of names.filter((name) => name.endsWith('.log.bad'))) {
      const name = bad.slice(0, -'.bad'.length);
      const first = parseSegmentFileName(name);
      if (first === undefined || names.includes(name)) continue;
      const present = await surveyLog(this.#parts, folder, identity, false, this.#vault);
      // Its positions were given out again since.
      if (present.segments.some((one) => one.first <= first && one.last >= first)) continue;
      const chain = present.segments.find(({ last }) => last === first - 1)?.chain;
      if (!(await repairSegmentHeader(files, `${folder}/${bad}`, first, identity, chain ?? 0))) continue;
      await files.rename(`${folder}/${bad}`, `${folder}/${name}`);
      await files.syncFolder(folder);
      this.#say(`brought ${folder}/${name} back, with its header made again`);
    }
  }

  async #repairHeader(path: string, identity: Uint8Array, found: LogSurvey): Promise<void> {
    const first = parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1));
    if (first === undefined) return;
    const chain = found.segments.find(({ last }) => last === first - 1)?.chain;
    if (await repairSegmentHeader(this.#parts.files, path, first, identity, chain ?? 0))
      this.#say(`made the header of ${path} again`);
  }

  /** As a start does it. */
  async #recoverLog(identity: Uint8Array): Promise<void> {
    const { files } = this.#parts;
    const folder = this.#layout.log;
    const before = (await files.list(folder)).length;
    const { report, lastIsOpen } = await recoverLog(
      files,
      folder,
      identity,
      crc32c(identity, 0, identity.length),
      this.#vault,
    );
    for (const path of report.setAside)
      this.#say(`set ${path} aside as ${path}.bad: it has neither a header nor records`);
    if (report.tornBytes > 0 && lastIsOpen)
      this.#say(`cut ${report.tornBytes} bytes off the end of the log: no whole record is in them`);
    if ((await files.list(folder)).length < before)
      this.#say('removed a segment that was not finished when it was created, and held nothing');
  }

  async #repairSnapshots({ snapshots }: FolderSurvey): Promise<boolean> {
    const { files } = this.#parts;
    const bad = snapshots.filter(({ fault }) => fault !== undefined);
    for (const { path } of bad) {
      await files.rename(path, `${path}.bad`);
      await files.syncFolder(this.#layout.snapshots);
      this.#say(`set ${path} aside as ${path}.bad: it is damaged, or of another gateway`);
    }
    return bad.length > 0;
  }

  /** Made again where it is in doubt, as a start does it, or where it is damaged in a way that a start does not look for. */
  async #repairDatabase(found: FolderSurvey, identity: Uint8Array): Promise<boolean> {
    const { database, state, log, snapshots } = found;
    if (database === 'none' && log.last === 0 && snapshots.length === 0) return false;
    const isDamaged =
      state !== undefined && state.inspection.damagedKeys.length + state.lostBlocks.length > 0;
    if (isTrusted(state) && !isDamaged) return false;
    const base = snapshots[0]?.position ?? 0;
    const isLogWhole =
      log.first <= base + 1 &&
      log.last >= base &&
      !log.faults.some(({ positions }) => (positions?.last ?? 0) > base);
    // The state would be older than what the log has: what is there is better, less what is damaged.
    if (isTrusted(state) && state !== undefined && !isLogWhole) {
      const text = await dropLostBlocks(
        unsealed(this.#parts.openDatabase(this.#layout.index), this.#vault),
        state,
      );
      if (text.length === 0) return false;
      for (const one of text) this.#say(one);
      return true;
    }
    if (!isLogWhole && database !== 'none') await this.#setDatabaseAside();
    await rebuildDatabase(this.#parts, this.#layout, identity, this.#vault);
    const from = base === 0 ? 'from nothing' : `from the snapshot of position ${base}`;
    this.#say(`made the database again ${from}; the next start adds what the log has since`);
    return true;
  }

  async #setDatabaseAside(): Promise<void> {
    const { files } = this.#parts;
    const { folder, index } = this.#layout;
    const names = await files.list(folder);
    let n = 1;
    while (names.some((name) => name.startsWith(`index.bad-${n}`))) n++;
    await files.rename(index, `${index}.bad-${n}`);
    await files.syncFolder(folder);
    this.#say(`set the database aside as ${index}.bad-${n}: snapshot and log do not have all of it`);
  }
}

/** Faults that are there still, and positions that went with what was set aside. */
function lostOf(before: FolderSurvey, after: FolderSurvey): FaultAndOwners[] {
  const isThere = (position: LogPosition): boolean =>
    after.log.segments.some(({ first, last }) => position >= first && position <= last);
  const gone = before.faults.filter(
    ({ positions }) =>
      positions !== undefined && !isThere(positions.first) && positions.first < after.log.first,
  );
  return [...gone, ...after.faults];
}

/** Whose the data is, where none of it is of `id`, which was read from identity.json. */
async function identityOfOthers(
  files: FileSystem,
  layout: Layout,
  id: Uint8Array,
): Promise<Uint8Array | undefined> {
  const snapshots = await surveySnapshots(files, layout.snapshots, id);
  if (snapshots.some(({ fault }) => fault === undefined)) return undefined;
  let other: Uint8Array | undefined;
  for (const { identity } of await readHeaders(files, layout.log)) {
    if (Buffer.compare(identity, id) === 0) return undefined;
    other = identity;
  }
  return other;
}

async function readHeaders(files: FileSystem, folder: string): Promise<SegmentHeader[]> {
  const headers: SegmentHeader[] = [];
  for (const name of await files.list(folder)) {
    if (parseSegmentFileName(name) === undefined) continue;
    const path = `${folder}/${name}`;
    const file = await files.open(path, 'read');
    try {
      const header = await readSegmentHeader(file, path);
      if (header !== undefined) headers.push(header);
    } catch (error) {
      // Looked at later.
      if (!(error instanceof SprawlError) || error.code !== 'STORAGE_IO') throw error;
    } finally {
      await file.close();
    }
  }
  return headers;
}
