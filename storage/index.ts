export { createDiskStore } from './disk/create.js';
export { MemoryStore } from './memory/memory-store.js';
