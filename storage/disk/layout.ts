/**
 * Where things are in a data folder:
 *
 *     identity.json   who this is; what tells a lost database from a new gateway
 *     keys.json       where the data is encrypted: the keys of it, wrapped; and a copy beside
 *     lock/           held while a process uses the folder
 *     log/            segments: everything that must survive
 *     index/          the database: what waits for whom; made again from the two others where it is in doubt
 *     snapshots/      the newest copies of the database
 *     ballast         space that is given up when the disk is full
 *     mesh/           who the gateway is in its mesh or archive, where it has one: the mesh's own, here for backups alone
 *     restoring.json  while the folder is made from a backup: no gateway starts on it
 */
export interface Layout {
  readonly folder: string;
  readonly identity: string;
  readonly keys: string;
  readonly lock: string;
  readonly log: string;
  readonly index: string;
  readonly snapshots: string;
  readonly ballast: string;
  readonly restoring: string;
  readonly mesh: string;
  /** The lives of other gateways, as far as they were told. */
  readonly lineages: string;
}

export function layoutOf(folder: string): Layout {
  return {
    folder,
    identity: `${folder}/identity.json`,
    keys: `${folder}/keys.json`,
    lock: `${folder}/lock`,
    log: `${folder}/log`,
    index: `${folder}/index`,
    snapshots: `${folder}/snapshots`,
    ballast: `${folder}/ballast`,
    restoring: `${folder}/restoring.json`,
    mesh: `${folder}/mesh`,
    lineages: `${folder}/mesh/lineages.json`,
  };
}
