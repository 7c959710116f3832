/** Does in a store what another gateway asks for. Whether it may ask for it is looked at before. */
import type { ObjectBody, ObjectStore } from '../object-store.js';
import { type AskStore, faultAnswerOf, type ObjectAnswer } from './object-request.js';
import { identityOf } from './store-identity.js';

export function servedStore(store: ObjectStore, randomBytes: (size: number) => Uint8Array): AskStore {
  /** It never becomes another one. */
  let known: string | undefined;
  const identity = async (): Promise<string> => (known ??= await identityOf(store, randomBytes));
  const answer: AskStore = async (request, read): Promise<ObjectAnswer> => {
    switch (request.kind) {
      case 'identify':
        return { kind: 'identity', identity: await identity(), name: store.name };
      case 'createsOnce':
        return { kind: 'is', value: await store.createsOnce() };
      case 'create': {
        const body: ObjectBody = { length: request.length, read };
        return { kind: 'is', value: await store.create(request.key, body) };
      }
      case 'read': {
        const { key, offset, length } = request;
        const bytes = await store.read(key, { offset, length });
        return bytes === undefined
          ? { kind: 'none' }
          : { kind: 'bytes', bytes, isEnd: bytes.length < length };
      }
      default: {
        const stat = await store.stat(request.key);
        return stat === undefined ? { kind: 'none' } : { kind: 'stat', length: stat.length };
      }
    }
  };
  return (request, read) => answer(request, read).catch(faultAnswerOf);
}
