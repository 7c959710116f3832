/**
 * `epochs.json` and its copy: the lives of this gateway. Each entry has a checksum of its own, so that what is left of a damaged file
 * can be believed:
 *
 *     {"version":1,"epochs":[
 *     {"counter":1,"nonce":"0123456789abcdef","after":0,"check":"…"},
 *     {"counter":2,"nonce":"…","after":4711,"check":"…"}
 *     ],"check":"…"}                                            of everything before `"check"`
 *
 * A counter is never used twice: what is read of a damaged file may lack the newest entries, at most as many as a file holds.
 */
import type { EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import { checkOf, MESH_FORMAT_VERSION } from './json-file.js';
import { isLineage, LINEAGE_MAX_COUNT } from './lineage.js';
import { damaged } from './mesh-error.js';
import type { MeshFiles } from './mesh-files.js';

const ENTRY = /^\{"counter":(\d{1,16}),"nonce":"([0-9a-f]{16})","after":(\d{1,16}),"check":"([0-9a-f]{16})"\},?$/;
const HEAD = /^\{"version":(\d{1,9}),"epochs":\[$/;
const FOOT = /^\],"check":"([0-9a-f]{16})"\}$/;

export interface RememberedEpochs {
  /** Undefined: the gateway never started. */
  readonly lineage: Lineage | undefined;
  /** Every counter that was ever used is lower. */
  readonly nextCounter: number;
  /** What was wrong with the files, for the log; undefined: nothing. */
  readonly fault: string | undefined;
}

/** @throws SprawlError MESH_FILE_FAILED, STORAGE_FORMAT_NEWER; MESH_FILE_DAMAGED where nothing of either file can be read */
export async function readEpochs(files: MeshFiles, path: string, copyPath: string): Promise<RememberedEpochs> {
  const bytes = await files.read(path);
  const copyBytes = await files.read(copyPath);
  if (bytes === undefined && copyBytes === undefined)
    return { lineage: undefined, nextCounter: 1, fault: undefined };
  const whole = bytes === undefined ? undefined : parseEpochs(bytes, path);
  if (whole !== undefined) return remembered(whole, undefined);
  const what = bytes === undefined ? 'is missing' : 'is damaged';
  const copy = copyBytes === undefined ? undefined : parseEpochs(copyBytes, copyPath);
  if (copy !== undefined) return remembered(copy, `${path} ${what}; its copy is whole`);
  const rest = salvage([bytes, copyBytes]);
  const newest = rest.at(-1);
  if (newest === undefined) {
    throw damaged(
      path,
      'nothing of it can be read, and no whole copy is there; restore it from a backup, or make this a new gateway with "sprawl-edge join --new-identity"',
    );
  }
  return {
    lineage: rest,
    nextCounter: newest.counter + LINEAGE_MAX_COUNT,
    fault: `${path} ${what} and so is its copy; ${rest.length} of the earlier starts could be read`,
  };
}

function remembered(lineage: Lineage, fault: string | undefined): RememberedEpochs {
  return { lineage, nextCounter: (lineage.at(-1)?.counter ?? 0) + 1, fault };
}

/** Durable in both files when it resolves. @throws SprawlError MESH_FILE_FAILED */
export async function writeEpochs(
  files: MeshFiles,
  path: string,
  copyPath: string,
  lineage: Lineage,
): Promise<void> {
  const bytes = renderEpochs(lineage);
  await files.replace(path, bytes);
  await files.replace(copyPath, bytes);
}

export function renderEpochs(lineage: Lineage): Uint8Array {
  const entries = lineage.map(({ counter, nonce, after }) => {
    const check = entryCheck(String(counter), nonce, String(after));
    return `{"counter":${counter},"nonce":"${nonce}","after":${after},"check":"${check}"}`;
  });
  const body = `{"version":${MESH_FORMAT_VERSION},"epochs":[\n${entries.join(',\n')}\n`;
  return Buffer.from(`${body}],"check":"${checkOf(body)}"}\n`, 'latin1');
}

function entryCheck(counter: string, nonce: string, after: string): string {
  return checkOf(`epoch ${counter} ${nonce} ${after}`);
}

function parseEntry(line: string): EpochStart | undefined {
  const [, counter = '', nonce = '', after = '', check] = ENTRY.exec(line) ?? [];
  if (check !== entryCheck(counter, nonce, after)) return undefined;
  return { counter: Number(counter), nonce, after: Number(after) };
}

/** @returns undefined where it is not whole */
function parseEpochs(bytes: Uint8Array, path: string): Lineage | undefined {
  const text = Buffer.from(bytes).toString('latin1');
  const lines = text.split('\n');
  const version = Number(HEAD.exec(lines[0] ?? '')?.[1] ?? NaN);
  const foot = lines.at(-2) ?? '';
  const check = FOOT.exec(foot)?.[1];
  if (lines.at(-1) !== '' || check !== checkOf(text.slice(0, -foot.length - 1))) return undefined;
  if (version > MESH_FORMAT_VERSION) {
    throw new SprawlError(
      'STORAGE_FORMAT_NEWER',
      `${path} has format ${version}, this version reads up to ${MESH_FORMAT_VERSION}; start the version that wrote it, or restore a backup`,
      { details: { path, version } },
    );
  }
  const entries = lines.slice(1, -2).map(parseEntry);
  return isLineage(entries) ? entries : undefined;
}

/** The newest run of lives, without a gap, of which entries are whole. */
function salvage(sources: readonly (Uint8Array | undefined)[]): EpochStart[] {
  const found = new Map<number, EpochStart>();
  for (const bytes of sources) {
    if (bytes === undefined) continue;
    for (const line of Buffer.from(bytes).toString('latin1').split('\n')) {
      const entry = parseEntry(line);
      if (entry !== undefined && !found.has(entry.counter)) found.set(entry.counter, entry);
    }
  }
  const entries = [...found.values()].sort((left, right) => left.counter - right.counter);
  let from = entries.length - 1;
  while (from > 0 && entries[from - 1]?.counter === (entries[from]?.counter ?? 0) - 1) from--;
  return entries.slice(Math.max(from, entries.length - LINEAGE_MAX_COUNT, 0));
}
