/** The store of another gateway, as an archiver sees it: it creates, reads and looks at objects, one request after the other. */
import {
  type ByteRange,
  expectKey,
  type ObjectBody,
  ObjectFault,
  type ObjectStat,
  type ObjectStore,
} from '../object-store.js';
import { READ_MAX_BYTES, WHOLE_MAX_BYTES } from './limits.js';
import type { AskStore, BodyReader, ObjectAnswer, ObjectRequest } from './object-request.js';

const NO_BODY: BodyReader = () => Promise.reject(new Error('nothing is created'));

export class RelayedObjectStore implements ObjectStore {
  readonly #ask: AskStore;

  /** @param name what the configuration says */
  constructor(
    readonly name: string,
    ask: AskStore,
  ) {
    this.#ask = ask;
  }

  async createsOnce(): Promise<boolean> {
    return this.#is({ kind: 'createsOnce' });
  }

  async create(key: string, body: ObjectBody): Promise<boolean> {
    expectKey(key);
    return this.#is({ kind: 'create', key, length: body.length }, (offset, length) =>
      body.read(offset, length),
    );
  }

  async read(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    expectKey(key);
    const begin = range?.offset ?? 0;
    const wanted = range?.length ?? Infinity;
    const parts: Uint8Array[] = [];
    // Objects are never changed: parts that are read one after the other are of one object.
    for (let done = 0; ;) {
      const length = Math.min(READ_MAX_BYTES, wanted - done);
      const answer = await this.#answer({ kind: 'read', key, offset: begin + done, length });
      if (answer.kind === 'none') return undefined;
      if (answer.kind !== 'bytes') throw this.#unexpected('read', answer);
      const { bytes, isEnd } = answer;
      if (bytes.length > length || (bytes.length === 0 && length > 0 && !isEnd))
        throw this.#unexpected('read', answer);
      parts.push(bytes);
      done += bytes.length;
      if (isEnd || done >= wanted) return parts.length === 1 ? bytes : Buffer.concat(parts);
      if (done > WHOLE_MAX_BYTES)
        throw new ObjectFault('other', `${key} has more than ${WHOLE_MAX_BYTES} bytes: it is read in parts`);
    }
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    expectKey(key);
    const answer = await this.#answer({ kind: 'stat', key });
    if (answer.kind === 'none') return undefined;
    if (answer.kind !== 'stat') throw this.#unexpected('stat', answer);
    return { key, length: answer.length };
  }

  // oxlint-disable-next-line require-yield -- it is one that has nothing
  async *list(prefix: string): AsyncGenerator<ObjectStat> {
    throw new ObjectFault('denied', `nobody lists ${prefix} through another gateway`);
  }

  remove(key: string): Promise<void> {
    return Promise.reject(new ObjectFault('denied', `nobody removes ${key} through another gateway`));
  }

  async #is(request: ObjectRequest, read?: BodyReader): Promise<boolean> {
    const answer = await this.#answer(request, read);
    if (answer.kind !== 'is') throw this.#unexpected(request.kind, answer);
    return answer.value;
  }

  async #answer(request: ObjectRequest, read = NO_BODY): Promise<Exclude<ObjectAnswer, { kind: 'fault' }>> {
    const answer = await this.#ask(request, read);
    if (answer.kind === 'fault') throw new ObjectFault(answer.fault, answer.text);
    return answer;
  }

  #unexpected(asked: string, { kind }: ObjectAnswer): ObjectFault {
    return new ObjectFault(
      'unknown',
      `the gateway that archives for this one answered ${asked} with ${kind}`,
    );
  }
}
