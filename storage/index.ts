export { MemoryStore } from './memory/memory-store.js';
