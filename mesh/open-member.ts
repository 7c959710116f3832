import type { Lineage } from '../lib/contracts/epoch.js';
import type { GatewayId } from '../lib/contracts/gateway-id.js';
import type { Logger } from '../lib/contracts/logger.js';
import type { Roster } from './admission/roster.js';
import { SwarmKey } from './admission/swarm-key.js';
import { nodeMeshFiles } from './identity/mesh-files.js';
import { type MeshFolder, openMeshFolder } from './identity/mesh-folder.js';

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
  const folder = await openMeshFolder(dataDir, { randomBytes, logger });
  const bytes = swarmKeyFile === undefined ? undefined : await nodeMeshFiles.read(swarmKeyFile);
  const swarmKey =
    bytes === undefined
      ? await folder.membership.readSwarmKey()
      : SwarmKey.parse(Buffer.from(bytes).toString('latin1'));
  if (swarmKey === undefined) return undefined;
  return {
    ...{ folder, swarmKey },
    roster: await folder.membership.readRoster(swarmKey),
    lineages: await folder.lineages.load(),
  };
}
