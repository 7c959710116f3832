/** Which key opens an object. */
import type { MasterKey } from '../../../lib/contracts/master-key.js';

/** An object is encrypted with a key that was not given. */
export class KeyMissing extends Error {
  /** @param key of the object @param needed id of the master key */
  constructor(
    readonly key: string,
    readonly needed: string,
    given: readonly MasterKey[],
  ) {
    const have =
      given.length === 0
        ? 'no key is configured'
        : `the configured ${given.length === 1 ? 'key is' : 'keys are'} ${given.map(({ id }) => id).join(', ')}`;
    super(`${key} is encrypted with key ${needed}, and ${have}`);
    this.name = 'KeyMissing';
  }
}

export function findKey(keys: readonly MasterKey[] | undefined, keyId: string): MasterKey | undefined {
  return keys?.find(({ id }) => id === keyId);
}

/** @param key of the object @throws KeyMissing */
export function expectKeyOf(keys: readonly MasterKey[] | undefined, keyId: string, key: string): MasterKey {
  const found = findKey(keys, keyId);
  if (found === undefined) throw new KeyMissing(key, keyId, keys ?? []);
  return found;
}
