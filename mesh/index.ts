import type { Mesh, MeshOptions } from './mesh.js';

export {
  openMeshFolder as openIdentity,
  type MeshFolder as GatewayIdentity,
} from './identity/mesh-folder.js';
export { siteNameOf } from './identity/site-name.js';
export type { Mesh, MeshOptions, MeshSettings } from './mesh.js';
export { type MeshMember, openMeshMember } from './open-member.js';

/** Loads what a mesh stands on with it: a gateway that is in none has no memory for HyperDHT and the links. */
export async function meshOf(options: MeshOptions): Promise<Mesh> {
  const { Mesh: Loaded } = await import('./mesh.js');
  return new Loaded(options);
}
