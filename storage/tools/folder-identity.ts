import { SprawlError } from '../../lib/contracts/errors.js';
import { identityOfData, readIdentity } from '../disk/identity.js';
import type { Layout } from '../disk/layout.js';
import type { FileSystem } from '../files/file-system.js';
import type { Fault } from './fault.js';

export interface FolderIdentity {
  /** undefined: neither the file nor the data tells. */
  readonly id: Uint8Array | undefined;
  readonly fault: Fault | undefined;
}

/** Whose the folder is, by its file or else by its data; nothing is changed. @throws SprawlError STORAGE_FORMAT_NEWER, STORAGE_IO */
export async function lookAtIdentity(files: FileSystem, layout: Layout): Promise<FolderIdentity> {
  const fault = (text: string): Fault => ({ kind: 'identity', path: layout.identity, text });
  try {
    const id = await readIdentity(files, layout);
    if (id !== undefined) return { id, fault: undefined };
    return { id: await identityOfData(files, layout), fault: fault('it is missing') };
  } catch (error) {
    if (!(error instanceof SprawlError) || error.code !== 'STORAGE_CORRUPT') throw error;
    return {
      id: await identityOfData(files, layout),
      fault: fault('it is damaged'),
    };
  }
}
