export { createDiskStore } from './disk/create.js';
export { layoutOf } from './disk/layout.js';
export { MemoryStore } from './memory/memory-store.js';
export { recordTypeName } from './records/record-type.js';
