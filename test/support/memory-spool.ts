/** Files that are built, in memory. */
import { createHash } from 'node:crypto';
import { bodyOf } from '../../bridge/archive/object-store.js';
import type { Spool, SpoolFile } from '../../bridge/archive/spool.js';

export class MemorySpool implements Spool {
  /** Files that were not removed. */
  openCount = 0;

  create(): SpoolFile {
    const parts: Uint8Array[] = [];
    this.openCount++;
    return {
      append: (bytes) => void parts.push(Uint8Array.from(bytes)),
      finish: async () => {
        const bytes = Buffer.concat(parts);
        return { body: bodyOf(bytes), sha256: createHash('sha256').update(bytes).digest('hex') };
      },
      remove: () => {
        this.openCount--;
        return Promise.resolve();
      },
    };
  }
}
