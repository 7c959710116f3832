/**
 * A data folder that is filled by something else than clients. While that goes on `restoring.json` is in it, and no gateway starts on it; what was begun
 * and not finished is begun again.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { Layout } from '../disk/layout.js';
import { layoutOf } from '../disk/layout.js';
import { readText, replaceText } from '../files/text-file.js';
import { holdsData, type ToolParts, withFolderLock } from './data-folder.js';

/**
 * @param source what it is filled from: only the same goes on with a folder that is not finished
 * @param fill opens a store on the folder that is allowed to: DiskStoreOptions.isRestoring
 * @throws SprawlError BACKUP_FOLDER_REFUSED for a folder that holds data, STORAGE_LOCKED, STORAGE_FULL, STORAGE_IO, and what `fill` throws
 */
export async function fillFolder<T>(parts: ToolParts, source: string, fill: () => Promise<T>): Promise<T> {
  const { files, folder } = parts;
  const layout = layoutOf(folder);
  await withFolderLock(parts, layout, async () => {
    await expectFillable(parts, source);
    if ((await readText(files, layout.restoring)) !== undefined) await removeData(parts, layout);
    await replaceText(files, layout.restoring, markOf(source));
  });
  const filled = await fill();
  await files.remove(layout.restoring);
  await files.syncFolder(folder);
  return filled;
}

/**
 * For who wants to know before there is anything to fill it with.
 * @param source undefined: any that was begun may be gone on with @throws SprawlError BACKUP_FOLDER_REFUSED, STORAGE_IO
 */
export async function expectFillable(
  { files, folder }: ToolParts,
  source: string | undefined,
): Promise<void> {
  const known = await readText(files, layoutOf(folder).restoring);
  if (
    known === undefined ? !(await holdsData(files, folder)) : source === undefined || known === markOf(source)
  )
    return;
  throw new SprawlError(
    'BACKUP_FOLDER_REFUSED',
    `${folder} holds data${known === undefined ? '' : ', part of what was to be restored from elsewhere'}: restore to another folder (--data-dir), or move this one aside`,
    { details: { folder } },
  );
}

const markOf = (source: string): string => `${JSON.stringify({ source })}\n`;

async function removeData({ files, openDatabase }: ToolParts, layout: Layout): Promise<void> {
  for (const folder of [layout.log, layout.snapshots])
    for (const name of await files.list(folder)) await files.remove(`${folder}/${name}`);
  await openDatabase(layout.index).destroy();
  for (const path of [layout.keys, `${layout.keys}.copy`, layout.identity]) await files.remove(path);
  await files.syncFolder(layout.folder);
}
