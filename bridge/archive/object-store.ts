/**
 * Where archives are: a folder, or a bucket of something that speaks S3. Objects are created once and never changed; a key is a path of
 * names with `/` between them.
 */
import type { MasterKey } from '../../lib/contracts/master-key.js';

/** What is to be in an object. A request that has to be made again reads it again. */
export interface ObjectBody {
  readonly length: number;
  /** Path of a file with the same bytes, which nobody changes any more: a store on the same disk may give it a second name in place of writing them again. */
  readonly file?: string | undefined;
  /** What a store that knows such a thing has beside it: names of small letters, digits and `-`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Bytes `[offset, offset + length)`; all of them are there. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface ObjectStat {
  readonly key: string;
  /** Bytes. */
  readonly length: number;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface ObjectStore {
  /** For people, without anything secret. */
  readonly name: string;
  /** What opens the objects that are encrypted, as far as it is given; the first is for those to come. */
  readonly keys?: readonly MasterKey[];
  /** Whether of two that create a key at the same time one is always told that it came second; where not, only one may write for each origin. */
  createsOnce(): Promise<boolean>;
  /**
   * The object is there for good, and whole, once this resolved; before that nobody sees a part of it.
   * @returns false: there is one with this key already, whatever is in it @throws ObjectFault
   */
  create(key: string, body: ObjectBody): Promise<boolean>;
  /** @returns the object, or less of it where the range goes beyond its end; undefined: there is none @throws ObjectFault */
  read(key: string, range?: ByteRange): Promise<Uint8Array | undefined>;
  /** @throws ObjectFault */
  stat(key: string): Promise<ObjectStat | undefined>;
  /**
   * Those whose key begins with `prefix`, in the order of their keys as bytes.
   * @param after only what comes behind it in this order; what is before costs nothing @throws ObjectFault
   */
  list(prefix: string, after?: string): AsyncIterable<ObjectStat>;
  /** One that does not exist is no error. @throws ObjectFault */
  remove(key: string): Promise<void>;
  /** How an object that is not there can be brought back, for people: where the store keeps what was removed. undefined: it does not know. @throws ObjectFault */
  wayBack?(key: string): Promise<string | undefined>;
  /**
   * Removes what crashes have left and nobody sees, where the store has such a thing. @param olderThanMs of their last change, milliseconds since 1970
   * @returns how many @throws ObjectFault
   */
  removeParts?(olderThanMs: number): Promise<number>;
}

/**
 * `busy`: to be tried again later. `unreachable`: nothing got through. `unknown`: it may have happened, or not. `denied`: credentials or
 * permissions. `clock`: the clocks of both sides are too far apart. `full`: no room. `missing`: the folder or bucket is not there. `other`: see the text.
 */
export type ObjectFaultKind =
  'busy' | 'unreachable' | 'unknown' | 'denied' | 'clock' | 'full' | 'missing' | 'other';

export class ObjectFault extends Error {
  /** For people, where more is known than `kind` tells. */
  readonly wayOut: string | undefined;

  constructor(
    readonly kind: ObjectFaultKind,
    message: string,
    { wayOut, ...options }: ErrorOptions & { readonly wayOut?: string } = {},
  ) {
    super(message, options);
    this.wayOut = wayOut;
    this.name = 'ObjectFault';
  }
}

export function bodyOf(bytes: Uint8Array): ObjectBody {
  return {
    length: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}

const KEY_MAX_BYTES = 1024;
/** Of a file system; the names of parts are a little longer. */
const NAME_MAX_BYTES = 200;
const NAME = /^[A-Za-z0-9_=%+,~-][A-Za-z0-9_=%+,.~-]*$/;

/** Why a key cannot be used everywhere; undefined: it can. Names that begin with a dot are the store's own. */
export function keyFault(key: string): string | undefined {
  if (key.length > KEY_MAX_BYTES) return `it has ${key.length} characters, at most ${KEY_MAX_BYTES}`;
  for (const name of key.split('/')) {
    if (!NAME.test(name)) return `${JSON.stringify(name)} in it is no name`;
    if (name.length > NAME_MAX_BYTES)
      return `a name in it has ${name.length} characters, at most ${NAME_MAX_BYTES}`;
  }
  return undefined;
}

/** @throws RangeError for a key that nobody should have made */
export function expectKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw new RangeError(`${JSON.stringify(key)} is no key of an object: ${fault}`);
}
