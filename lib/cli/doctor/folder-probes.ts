/** Measures a data folder; leaves nothing behind in it. */
import { constants } from 'node:fs';
import { access, open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import type { Config } from '../../config/index.js';
import { realClock } from '../../real-clock.js';
import { askGateway, urlOf } from '../gateway-http.js';
import type { FolderFound, SpaceFound } from './judge-folder.js';

const WRITE_COUNT = 100;
const WRITE_BYTES = 4096;
/** A slow card has shown by then that it is one. */
const WRITES_MAX_MS = 3000;
/** Of the data folder; more would take longer than it is worth. */
const FILES_MAX_COUNT = 20_000;
const UNUSED = '.doctor-';

function faultOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

export async function folderProbe(path: string): Promise<Omit<FolderFound, 'isInUse'>> {
  const folder = resolve(path);
  for (let lookedAt = folder; ; lookedAt = dirname(lookedAt)) {
    const found = { path, lookedAt, exists: lookedAt === folder, isOwn: true };
    try {
      await access(lookedAt, constants.F_OK);
      const status = await stat(lookedAt);
      const fault = status.isDirectory() ? await writeFault(lookedAt) : 'it is no folder';
      return { ...found, isOwn: isOwn(status.uid), fault };
    } catch (error) {
      if (!isMissing(error) || lookedAt === dirname(lookedAt)) return { ...found, fault: faultOf(error) };
    }
  }
}

/** Windows has no such numbers. */
function isOwn(uid: number): boolean {
  return process.getuid === undefined || process.getuid() === uid;
}

/**
 * Whether a gateway runs on the folder. To look at its lock makes files, which the gateway could not open where root made them: of the
 * folder of another user the gateway itself is asked.
 */
export async function useProbe(config: Config): Promise<boolean> {
  const uid = await stat(config.dataDir).then(
    (status) => status.uid,
    () => undefined,
  );
  if (uid === undefined) return false;
  if (isOwn(uid)) return (await import('../../storage-tools.js')).isFolderInUse(config);
  return askGateway(urlOf(config), '/healthz').then(
    () => true,
    () => false,
  );
}

/** Permissions do not tell of quotas, and of file systems that are mounted to be read only. */
async function writeFault(folder: string): Promise<string | undefined> {
  const path = unusedPath(folder);
  try {
    await (await open(path, 'wx', 0o600)).close();
    return undefined;
  } catch (error) {
    return faultOf(error);
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}

function unusedPath(folder: string): string {
  return join(folder, `${UNUSED}${process.pid}-${Math.random().toString(36).slice(2)}`);
}

export async function spaceProbe({ path, lookedAt, exists }: FolderFound): Promise<SpaceFound> {
  const { bavail, bsize } = await statfs(lookedAt);
  return { freeBytes: bavail * bsize, usedBytes: exists ? await usedBytesOf(path) : 0 };
}

async function usedBytesOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  let bytes = 0;
  for (const entry of entries.slice(0, FILES_MAX_COUNT)) {
    if (!entry.isFile() || entry.name.startsWith(UNUSED)) continue;
    // A gateway that runs removes some meanwhile.
    bytes += await stat(join(entry.parentPath ?? entry.path, entry.name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return bytes;
}

export async function syncProbe(folder: string): Promise<readonly number[]> {
  const path = unusedPath(folder);
  const bytes = Buffer.alloc(WRITE_BYTES, 0x5a);
  const tookMs: number[] = [];
  const endAt = realClock.now() + WRITES_MAX_MS;
  try {
    const handle = await open(path, 'wx', 0o600);
    try {
      while (tookMs.length < WRITE_COUNT && realClock.now() < endAt) {
        const begin = realClock.now();
        await handle.write(bytes);
        await handle.datasync();
        tookMs.push(realClock.now() - begin);
      }
    } finally {
      await handle.close();
    }
  } finally {
    await rm(path, { force: true });
  }
  return tookMs;
}
