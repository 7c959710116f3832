export { Mesh, type MeshFolder, type MeshOptions, type MeshSettings } from './mesh.js';
export { SwarmKey } from './admission/swarm-key.js';
