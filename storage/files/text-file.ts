import { SprawlError } from '../../lib/contracts/errors.js';
import type { FileSystem } from './file-system.js';

/** @returns undefined where there is no such file. @throws SprawlError STORAGE_IO */
export async function readText(files: FileSystem, path: string): Promise<string | undefined> {
  try {
    const file = await files.open(path, 'read');
    try {
      const bytes = Buffer.alloc(await file.size());
      await file.read(bytes, 0);
      return bytes.toString('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'STORAGE_MISSING') return undefined;
    throw error;
  }
}

/** The file has the old text or the new one, whatever happens meanwhile. @throws SprawlError STORAGE_FULL, STORAGE_IO */
export async function replaceText(files: FileSystem, path: string, text: string): Promise<void> {
  const unfinished = `${path}.new`;
  await files.remove(unfinished);
  const file = await files.open(unfinished, 'create');
  try {
    await file.write(Buffer.from(text, 'utf8'), 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(unfinished, path);
  await files.syncFolder(path.slice(0, path.lastIndexOf('/')));
}
