export { Mesh, type MeshOptions, type MeshSettings } from './mesh.js';
export { type MeshMember, openMeshMember } from './open-member.js';
export { siteNameOf } from './identity/site-name.js';
