/** The keys of the archive of a configuration, for who writes it and for who reads it. */
import type { Config } from './config/index.js';
import { keyProviderOf, type MasterKey } from './contracts/master-key.js';

export type ArchiveKeySources = Pick<Config['archive'], 'encryptionKey' | 'encryptionKeyFile'>;

/** The first is the current one; none: nothing is encrypted, and nothing encrypted is read. @throws SprawlError ARCHIVE_KEY_INVALID */
export function archiveKeysOf({
  archive: { encryptionKey: key, encryptionKeyFile: keyFile },
}: {
  readonly archive: ArchiveKeySources;
}): Promise<readonly MasterKey[]> {
  return keyProviderOf('archive', { key, keyFile }).masterKeys();
}
