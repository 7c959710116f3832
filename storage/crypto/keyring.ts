/**
 * The keys of one data folder, wrapped with the master key, in a file and a copy of it beside: without them nothing can be read.
 *
 *     master key ──wraps──▶ data keys ──seal──▶ log, database, snapshots
 *                     └───▶ name key ──hides──▶ client ids and topics in the keys of the database
 *
 * Another master key is a matter of wrapping the same keys again, and of a new data key for what is written from then on; what is there
 * stays readable with the older data keys.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { SprawlError } from '../../lib/contracts/errors.js';
import { KEY_BYTES, type MasterKey } from '../../lib/contracts/master-key.js';
import type { FileSystem } from '../files/file-system.js';
import { readText, replaceText } from '../files/text-file.js';
import { readU32 } from '../log/record.js';
import { type DataKeys, open, seal } from './envelope.js';

export const KEYRING_FORMAT_VERSION = 1;
const NAME_KEY_ID = 0;

interface WrappedKey {
  readonly id: number;
  readonly wrapped: string;
}

interface KeyringJson {
  readonly formatVersion: number;
  /** Id of the master key that everything here is wrapped with. */
  readonly master: string;
  readonly names: WrappedKey;
  /** Oldest first; the last is the current one. */
  readonly keys: readonly WrappedKey[];
}

export class Keyring implements DataKeys {
  readonly #files: FileSystem;
  readonly #paths: readonly [string, string];
  readonly #randomBytes: (size: number) => Uint8Array;
  #master: MasterKey;
  #names: KeyObject;
  readonly #keys: Map<number, KeyObject>;
  #current: { readonly id: number; readonly key: KeyObject };

  private constructor(
    files: FileSystem,
    paths: readonly [string, string],
    random: (size: number) => Uint8Array,
    master: MasterKey,
    names: KeyObject,
    keys: Map<number, KeyObject>,
  ) {
    this.#files = files;
    this.#paths = paths;
    this.#randomBytes = random;
    this.#master = master;
    this.#names = names;
    this.#keys = keys;
    this.#current = newestOf(keys);
  }

  /**
   * @param path of the keyring; its copy is beside it. @param masterKeys the first is the current one.
   * @returns undefined where nothing is encrypted and nothing is to be. `isNew`: what is there was written without keys.
   * @throws SprawlError STORAGE_KEY_WRONG, STORAGE_CORRUPT, STORAGE_FORMAT_NEWER, STORAGE_IO
   */
  static async open(
    files: FileSystem,
    path: string,
    masterKeys: readonly MasterKey[],
    random: (size: number) => Uint8Array,
  ): Promise<{ readonly keyring: Keyring; readonly isNew: boolean } | undefined> {
    const known = await Keyring.read(files, path, masterKeys, random);
    if (known !== undefined) {
      if (!(await known.rotate(masterKeys))) await known.#mendCopy(masterKeys);
      return { keyring: known, isNew: false };
    }
    const [current] = masterKeys;
    if (current === undefined) return undefined;
    const keys = new Map([[newId(random), newKey(random)]]);
    const keyring = new Keyring(files, pathsOf(path), random, current, newKey(random), keys);
    await keyring.#save();
    return { keyring, isNew: true };
  }

  /** As `open`, of one that is there, from its copy where the file is damaged; writes nothing. @returns undefined where there is none. */
  static async read(
    files: FileSystem,
    path: string,
    masterKeys: readonly MasterKey[],
    random: (size: number) => Uint8Array,
  ): Promise<Keyring | undefined> {
    let fault: SprawlError | undefined;
    for (const one of pathsOf(path)) {
      try {
        const found = await readKeys(files, one, masterKeys);
        if (found === undefined) continue;
        const { master, names, keys } = found;
        return new Keyring(files, pathsOf(path), random, master, names, keys);
      } catch (error) {
        if (!(error instanceof SprawlError) || error.code !== 'STORAGE_CORRUPT') throw fault ?? error;
        fault ??= error;
      }
    }
    if (fault !== undefined) throw fault;
    return undefined;
  }

  /** Whether every key in this one of the two files opens. @throws SprawlError as `read` */
  static async isWhole(files: FileSystem, path: string, masterKeys: readonly MasterKey[]): Promise<boolean> {
    try {
      return (await readKeys(files, path, masterKeys)) !== undefined;
    } catch (error) {
      if (error instanceof SprawlError && error.code === 'STORAGE_CORRUPT') return false;
      throw error;
    }
  }

  get current(): { readonly id: number; readonly key: KeyObject } {
    return this.#current;
  }

  get masterId(): string {
    return this.#master.id;
  }

  byId(id: number): KeyObject | undefined {
    return this.#keys.get(id);
  }

  /** What stands for a name in a place that cannot be encrypted: always the same for the same name. */
  nameOf(name: string): string {
    return createHmac('sha256', this.#names).update(name, 'utf8').digest('hex').slice(0, 32);
  }

  /** Goes over to the first of the master keys, where that is another one, with a new data key. @returns whether it did */
  async rotate(masterKeys: readonly MasterKey[]): Promise<boolean> {
    const [current] = masterKeys;
    if (current === undefined || current.id === this.#master.id) return false;
    const id = newId(this.#randomBytes);
    const key = newKey(this.#randomBytes);
    const before = this.#master;
    this.#master = current;
    this.#keys.set(id, key);
    try {
      await this.#save();
    } catch (error) {
      this.#master = before;
      this.#keys.delete(id);
      throw error;
    }
    this.#current = { id, key };
    return true;
  }

  /** A crash between the two files leaves a copy without the newest key. A failure is no reason not to start: the next start tries again. */
  async #mendCopy(masterKeys: readonly MasterKey[]): Promise<void> {
    const [path, copyPath] = this.#paths;
    try {
      const text = await readText(this.#files, path);
      if (text === undefined || text === (await readText(this.#files, copyPath))) return;
      if (await Keyring.isWhole(this.#files, path, masterKeys))
        await replaceText(this.#files, copyPath, text);
    } catch (error) {
      if (!(error instanceof SprawlError)) throw error;
    }
  }

  async #save(): Promise<void> {
    const json: KeyringJson = {
      formatVersion: KEYRING_FORMAT_VERSION,
      master: this.#master.id,
      names: wrap(this.#master, NAME_KEY_ID, this.#names),
      keys: [...this.#keys].map(([id, key]) => wrap(this.#master, id, key)),
    };
    for (const path of this.#paths)
      await replaceText(this.#files, path, `${JSON.stringify(json, undefined, 2)}\n`);
  }
}

function newKey(random: (size: number) => Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(random(KEY_BYTES)));
}

/** Random: that of another keyring is not taken for one of this. */
function newId(random: (size: number) => Uint8Array): number {
  return readU32(random(4), 0) || 1;
}

function newestOf(keys: ReadonlyMap<number, KeyObject>): { readonly id: number; readonly key: KeyObject } {
  const [id, key] = [...keys].at(-1) as [number, KeyObject];
  return { id, key };
}

const asKeys = ({ key }: MasterKey): DataKeys => ({ current: { id: 0, key }, byId: () => key });
const contextOf = (id: number): Uint8Array => Buffer.from(`sprawl-edge data key ${id}`, 'utf8');

function wrap(master: MasterKey, id: number, key: KeyObject): WrappedKey {
  return { id, wrapped: seal(asKeys(master), key.export(), contextOf(id)).toString('base64') };
}

function unwrap(master: MasterKey, { id, wrapped }: WrappedKey): KeyObject {
  return createSecretKey(open(asKeys(master), Buffer.from(wrapped, 'base64'), contextOf(id)));
}

function pathsOf(path: string): readonly [string, string] {
  return [path, `${path}.copy`];
}

interface OpenedKeys {
  readonly master: MasterKey;
  readonly names: KeyObject;
  readonly keys: Map<number, KeyObject>;
}

/** What is in one of the two files. @returns undefined where there is none */
async function readKeys(
  files: FileSystem,
  path: string,
  masterKeys: readonly MasterKey[],
): Promise<OpenedKeys | undefined> {
  const text = await readText(files, path);
  if (text === undefined) return undefined;
  const json = parse(text, path);
  const master = masterKeys.find(({ id }) => id === json.master);
  if (master === undefined) throw wrongKey(path, json.master, masterKeys);
  const opened = (key: WrappedKey): KeyObject => {
    try {
      return unwrap(master, key);
    } catch (error) {
      // Whatever its number is now: what was changed may be that.
      throw damagedKeys(path, error);
    }
  };
  return {
    master,
    names: opened(json.names),
    keys: new Map(json.keys.map((key) => [key.id, opened(key)])),
  };
}

function parse(text: string, path: string): KeyringJson {
  let json: Partial<KeyringJson>;
  try {
    json = JSON.parse(text) as Partial<KeyringJson>;
  } catch (error) {
    throw damagedKeys(path, error);
  }
  const { formatVersion = 0, master, names, keys } = json;
  if (formatVersion > KEYRING_FORMAT_VERSION) {
    throw new SprawlError(
      'STORAGE_FORMAT_NEWER',
      `${path} has format ${formatVersion}, this version reads up to ${KEYRING_FORMAT_VERSION}; start the version that wrote it, or restore a backup`,
      { details: { version: formatVersion, supported: KEYRING_FORMAT_VERSION } },
    );
  }
  if (master === undefined || names === undefined || keys === undefined || keys.length === 0)
    throw damagedKeys(path);
  return { formatVersion, master, names, keys };
}

function damagedKeys(path: string, cause?: unknown): SprawlError {
  return new SprawlError('STORAGE_CORRUPT', `${path} is damaged; restore it from a backup`, {
    details: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}

function wrongKey(path: string, needed: string, given: readonly MasterKey[]): SprawlError {
  const have =
    given.length === 0
      ? 'no key is configured'
      : `the key that is configured is ${given.map(({ id }) => id).join(', ')}`;
  return new SprawlError(
    'STORAGE_KEY_WRONG',
    `the data is encrypted with master key ${needed} (${path}), and ${have}; set storage.encryptionKeyFile to the file with the right one, older keys on further lines`,
    { details: { needed } },
  );
}
