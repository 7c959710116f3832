export { Mesh, type MeshMember, type MeshOptions, type MeshSettings } from './mesh.js';
export { openMeshMember } from './open-member.js';
