import type { Lineage } from '../lib/contracts/epoch.js';
import { SprawlError } from '../lib/contracts/errors.js';
import type { GatewayId } from '../lib/contracts/gateway-id.js';
import type { Logger } from '../lib/contracts/logger.js';
import type { Roster } from './admission/roster.js';
import { SwarmKey } from './admission/swarm-key.js';
import { MembershipFiles } from './identity/membership-files.js';
import { nodeMeshFiles } from './identity/mesh-files.js';
import { type MeshFolder, openMeshFolder } from './identity/mesh-folder.js';
import { meshLayoutOf } from './identity/mesh-layout.js';

/** A data folder that belongs to a mesh. */
export interface MeshMember {
  readonly folder: MeshFolder;
  readonly swarmKey: SwarmKey;
  readonly roster: Roster | undefined;
  readonly lineages: ReadonlyMap<GatewayId, Lineage>;
}

export interface OpenMemberOptions {
  readonly dataDir: string;
  /** Instead of the one in the data folder. */
  readonly swarmKeyFile: string | undefined;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
}

/** undefined: the data folder is in no mesh. @throws SprawlError SWARM_KEY_INVALID, MESH_FILE_FAILED, MESH_FILE_DAMAGED */
export async function openMeshMember(options: OpenMemberOptions): Promise<MeshMember | undefined> {
  const { dataDir, swarmKeyFile, randomBytes, logger } = options;
  const swarmKey =
    swarmKeyFile === undefined
      ? await new MembershipFiles(nodeMeshFiles, meshLayoutOf(dataDir), logger).readSwarmKey()
      : await readSwarmKeyFile(swarmKeyFile);
  // Who is in no mesh needs no identity to show: a damaged one keeps nobody from starting.
  if (swarmKey === undefined) return undefined;
  const folder = await openMeshFolder(dataDir, { randomBytes, logger });
  return {
    ...{ folder, swarmKey },
    roster: await folder.membership.readRoster(swarmKey),
    lineages: await folder.lineages.load(),
  };
}

/**
 * The key in a file that somebody named. One that is not there is a mistake, too: a gateway that goes on without its mesh is missed by nobody
 * until messages are. @throws SprawlError SWARM_KEY_INVALID
 */
export async function readSwarmKeyFile(path: string): Promise<SwarmKey> {
  const invalid = (why: string, cause?: unknown): SprawlError =>
    new SprawlError('SWARM_KEY_INVALID', `mesh.swarmKeyFile: ${path}: ${why}`, { details: { path }, cause });
  try {
    const bytes = await nodeMeshFiles.read(path);
    if (bytes !== undefined) return SwarmKey.parse(Buffer.from(bytes).toString('latin1'));
  } catch (error) {
    throw error instanceof SprawlError ? invalid(error.message, error) : error;
  }
  throw invalid(
    'it is not there: put the swarm key in it, or take mesh.swarmKeyFile out of the configuration',
  );
}
