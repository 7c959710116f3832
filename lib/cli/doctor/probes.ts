/** What is measured. The judging is elsewhere, so that it is tested without a machine; tests put others in the place of these. */
import type { Config, HostPort } from '../../config/index.js';
import type { ArchivesStatus, StandbyStatus } from '../../contracts/archive-status.js';
import type { ArchiveSeen } from './judge-archive.js';
import type { FolderFound, SpaceFound } from './judge-folder.js';
import type { MachineFound, PackageFound } from './judge-machine.js';
import type { MeshSeen } from './judge-mesh.js';
import type { PeerSeen, PortWanted, ReachSeen } from './judge-network.js';

export interface Probes {
  machine(): MachineFound;
  packages(): Promise<readonly PackageFound[]>;
  /** Milliseconds since 1970. */
  wall(): number;
  /** When the program was built or installed; 0: unknown. */
  builtMs(): number;
  /** undefined: the machine does not tell. */
  isSynchronized(): Promise<boolean | undefined>;
  /** When it ends, milliseconds since 1970. */
  certificate(tls: NonNullable<Config['listeners']['tls']>): Promise<number>;
  isInUse(config: Config): Promise<boolean>;
  folder(path: string): Promise<Omit<FolderFound, 'isInUse'>>;
  space(folder: FolderFound): Promise<SpaceFound>;
  /** How long writes of 4 KiB with their sync took, milliseconds. */
  syncs(folder: string): Promise<readonly number[]>;
  /** @returns the code of the system where it cannot be opened */
  port(wanted: PortWanted): Promise<string | undefined>;
  mesh(config: Config): Promise<MeshSeen & { readonly timeFloorMs: number }>;
  reach(host: string, port: number, bootstrap: readonly HostPort[] | undefined): Promise<ReachSeen>;
  peer(address: HostPort): Promise<PeerSeen>;
  /** Nothing is written. */
  archive(
    where: Pick<Config['archive'], 'target' | 's3' | 'encryptionKey' | 'encryptionKeyFile'>,
    dataDir: string,
  ): Promise<ArchiveSeen>;
  /** What the gateway says that runs here; undefined: nothing. */
  runningArchive(config: Config): Promise<ArchivesStatus | undefined>;
  /** As the gateway with this configuration says it, which runs. */
  standby(config: Config): Promise<readonly StandbyStatus[]>;
}
