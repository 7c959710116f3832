export { Mesh, type MeshOptions, type MeshSettings } from './mesh.js';
export { type MeshMember, openMeshMember } from './open-member.js';
export {
  openMeshFolder as openIdentity,
  type MeshFolder as GatewayIdentity,
} from './identity/mesh-folder.js';
export { siteNameOf } from './identity/site-name.js';
