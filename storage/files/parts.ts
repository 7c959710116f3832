import type { FilePart, PartVisitor, StoreFile } from './file-system.js';

/** As many as Node.js has threads for. */
const READS_AT_A_TIME = 4;

/** `StoreFile.readParts` with a read for each part. @throws SprawlError STORAGE_IO */
export async function readEach(
  file: Pick<StoreFile, 'read'>,
  parts: readonly FilePart[],
  visit: PartVisitor,
): Promise<void> {
  let next = 0;
  const readers = Array.from({ length: Math.min(READS_AT_A_TIME, parts.length) }, async () => {
    let buffer = Buffer.alloc(0);
    while (next < parts.length) {
      const i = next++;
      const { offset, length } = parts[i] as FilePart;
      if (buffer.length < length) buffer = Buffer.allocUnsafe(length);
      visit(i, buffer, 0, await file.read(buffer.subarray(0, length), offset));
    }
  });
  await Promise.all(readers);
}
