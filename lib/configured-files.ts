/** The files that a configuration names. */
import { archiveKeysOf } from './archive-keys.js';
import type { Config } from './config/index.js';
import { keyProviderOf } from './contracts/master-key.js';
import { readSecurityFiles } from './security/index.js';
import { certificateEndMs, expiryOf, readAuthorities, tlsOptionsOf } from './tls-files.js';

/**
 * Reads them as a start does, and keeps nothing: those that a gateway with this configuration would not read are left alone.
 * @param nowMs since 1970
 * @returns what is no mistake, and to be looked at
 * @throws SprawlError as the start: PASSWORD_FILE_INVALID, ACL_FILE_INVALID, TLS_FILE_INVALID, STORAGE_KEY_INVALID, ARCHIVE_KEY_INVALID, SWARM_KEY_INVALID, MESH_MISSING
 */
export async function checkConfiguredFiles(config: Config, nowMs: number): Promise<string[]> {
  const { security, storage, mesh, archive, listeners } = config;
  await readSecurityFiles(security);
  const warnings: string[] = [];
  if (listeners.tls !== undefined) {
    await tlsOptionsOf(listeners.tls);
    const expiry = expiryOf(await certificateEndMs(listeners.tls), nowMs);
    if (expiry !== undefined)
      warnings.push(`${listeners.tls.certFile}, the value of listeners.tls.certFile: ${expiry}`);
  }
  if (storage.durability === 'disk') {
    const { encryptionKey: key, encryptionKeyFile: keyFile } = storage;
    await keyProviderOf('storage', { key, keyFile }).masterKeys();
  }
  if (mesh.enabled === true || mesh.swarmKeyFile !== undefined)
    await (await import('./mesh-tools.js')).expectSwarmKey(config);
  if (archive.topics.length === 0 && !archive.forPeers) return warnings;
  await archiveKeysOf(config);
  const stores = { s3: archive.s3, ...(archive.copyTarget !== undefined && { copyS3: archive.copyS3 }) };
  for (const [name, { caFile }] of Object.entries(stores))
    if (caFile !== undefined) await readAuthorities(`archive.${name}.caFile`, caFile);
  return warnings;
}
