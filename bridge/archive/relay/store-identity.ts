/** Which store it is, whatever it is called: the same folder has two paths, the same bucket two endpoints, and two machines have a folder of the same name each. */
import { bodyOf, ObjectFault, type ObjectStore } from '../object-store.js';

export const IDENTITY_KEY = 'archive-id';
export const IDENTITY_BYTES = 16;
const TEXT = /^[0-9a-f]{32}\n$/;

/** @param randomBytes for one that has none yet @returns 32 hexadecimal digits @throws ObjectFault */
export async function identityOf(
  store: ObjectStore,
  randomBytes: (size: number) => Uint8Array,
): Promise<string> {
  const found = await store.read(IDENTITY_KEY);
  if (found !== undefined) return parseIdentity(store, found);
  const made = `${Buffer.from(randomBytes(IDENTITY_BYTES)).toString('hex')}\n`;
  await store.create(IDENTITY_KEY, bodyOf(Buffer.from(made, 'ascii')));
  // Somebody else may have come first.
  return parseIdentity(store, await store.read(IDENTITY_KEY));
}

function parseIdentity(store: ObjectStore, bytes: Uint8Array | undefined): string {
  const text = Buffer.from(bytes ?? []).toString('latin1');
  if (!TEXT.test(text))
    throw new ObjectFault('other', `${IDENTITY_KEY} in ${store.name} does not say which archive it is`);
  return text.trim();
}
