import { SprawlError } from '../../lib/contracts/errors.js';
import type { FileSystem, StoreFile } from '../files/file-system.js';

/** What a disk refuses to give back, it refuses by the sector or the page. */
const PIECE_BYTES = 4096;
const BUFFER_BYTES = 1_048_576;

/**
 * Puts a copy in place of a file of which the disk does not give back everything: what cannot be read is zero in it. The original
 * stays, as `<path>.unreadable`. @returns the bytes that could not be read. @throws SprawlError STORAGE_FULL, STORAGE_IO
 */
export async function salvage(files: FileSystem, path: string): Promise<number> {
  const copy = `${path}.new`;
  await files.remove(copy);
  const source = await files.open(path, 'read');
  const target = await files.open(copy, 'create');
  let lost = 0;
  try {
    const size = await source.size();
    const buffer = Buffer.alloc(BUFFER_BYTES);
    for (let at = 0; at < size; at += BUFFER_BYTES) {
      const piece = buffer.subarray(0, Math.min(BUFFER_BYTES, size - at));
      lost += await readWhatCanBe(source, piece, at);
      await target.write(piece, at);
    }
    await target.sync();
  } finally {
    await source.close();
    await target.close();
  }
  await files.rename(path, `${path}.unreadable`);
  await files.rename(copy, path);
  await files.syncFolder(path.slice(0, path.lastIndexOf('/')));
  return lost;
}

async function readWhatCanBe(source: StoreFile, into: Buffer, offset: number): Promise<number> {
  if (await canRead(source, into, offset)) return 0;
  let lost = 0;
  for (let at = 0; at < into.length; at += PIECE_BYTES) {
    const piece = into.subarray(at, Math.min(at + PIECE_BYTES, into.length));
    if (await canRead(source, piece, offset + at)) continue;
    piece.fill(0);
    lost += piece.length;
  }
  return lost;
}

async function canRead(source: StoreFile, into: Buffer, offset: number): Promise<boolean> {
  try {
    await source.read(into, offset);
    return true;
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'STORAGE_IO') return false;
    throw error;
  }
}
