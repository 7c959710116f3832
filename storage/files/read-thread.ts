/**
 * Reads many parts of a file with one request. A read through Node.js's pool costs the main thread more than the bytes of a record
 * do, and a hundred of them make a look-up slow though all is in the page cache. The same reads made synchronously cost next to
 * nothing, but on the main thread a disk that hangs would stop the whole gateway. So a thread of their own makes them.
 */
import { Worker } from 'node:worker_threads';
import type { FilePart, PartVisitor } from './file-system.js';
import type { End, FailedReply, PartsReply, PartsRequest } from './read-thread-worker.js';
import { toStorageError } from './storage-error.js';

/** A thread that nobody needs is some megabytes of memory. */
const IDLE_END_MS = 10_000;
const WORKER = new URL('./read-thread-worker.js', import.meta.url);
/** Its buffers are not in its heap. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 };

/** Requests get a buffer that others had before them: it holds what most of them ask for, and few are kept. */
const BUFFER_BYTES = 524_288;
const SPARE_MAX_COUNT = 4;
/** More wait only where the disk hangs; each has its buffer. */
const REQUESTS_MAX_COUNT = 32;

type SharedBytes = Uint8Array<SharedArrayBuffer>;

interface Request {
  readonly path: string;
  readonly parts: readonly FilePart[];
  readonly buffer: SharedBytes;
  readonly visit: PartVisitor;
  resolve(): void;
  reject(error: unknown): void;
}

/** A thread from its start to its end. */
interface Life {
  readonly worker: Worker;
  readonly requests: Map<number, Request>;
  readonly idle: NodeJS.Timeout;
  /** Of BUFFER_BYTES each. */
  readonly spare: SharedBytes[];
  /** It takes requests at once. */
  isUp: boolean;
  failure: unknown;
}

export class ReadThread {
  readonly #idleEndMs: number;
  readonly #script: URL;
  #life: Life | undefined;
  #lastId = 0;

  constructor(idleEndMs = IDLE_END_MS, script = WORKER) {
    this.#idleEndMs = idleEndMs;
    this.#script = script;
  }

  /**
   * Whether it takes requests at once; one that is not there is started. Who reads by other means until then does not wait for the
   * start, nor for a thread that cannot be had or does not come back from the disk.
   */
  wake(): boolean {
    try {
      const { isUp, requests } = this.#life ?? this.#start();
      return isUp && requests.size < REQUESTS_MAX_COUNT;
    } catch {
      return false;
    }
  }

  get isRunning(): boolean {
    return this.#life !== undefined;
  }

  /** @param fd of the file at `path`, which stays open until this is settled. @throws SprawlError STORAGE_IO, also where the thread dies */
  read(fd: number, path: string, parts: readonly FilePart[], visit: PartVisitor): Promise<void> {
    return new Promise((resolve, reject) => {
      const { worker, requests, spare } = this.#life ?? this.#start();
      const id = ++this.#lastId;
      const numbers = new Float64Array(parts.length * 2);
      let bytes = 0;
      for (const [i, { offset, length }] of parts.entries()) {
        numbers[2 * i] = offset;
        numbers[2 * i + 1] = length;
        bytes += length;
      }
      const buffer = (bytes <= BUFFER_BYTES ? spare.pop() : undefined) ?? sharedBytes(bytes);
      // As any read it keeps the process, which the thread by itself does not.
      if (requests.size === 0) worker.ref();
      requests.set(id, { path, parts, buffer, visit, resolve, reject });
      worker.postMessage({ id, fd, parts: numbers, into: buffer.buffer } satisfies PartsRequest);
    });
  }

  #start(): Life {
    const worker = new Worker(this.#script, { execArgv: [], resourceLimits: RESOURCE_LIMITS });
    const idle = setTimeout(() => this.#endIdle(life), this.#idleEndMs).unref();
    const life: Life = { worker, requests: new Map(), idle, spare: [], isUp: false, failure: undefined };
    worker.unref();
    worker.on('online', () => {
      life.isUp = true;
      // On a machine that is busy its start may have taken as long.
      idle.refresh();
    });
    worker.on('message', (reply: PartsReply | FailedReply) => replied(life, reply));
    worker.on('error', (error) => (life.failure = error));
    worker.on('exit', () => this.#ended(life));
    this.#life = life;
    return life;
  }

  #endIdle(life: Life): void {
    // One that waits for the disk goes on when it has its answer, one that is not up yet when it is.
    if (life.requests.size > 0 || this.#life !== life || !life.isUp) return;
    this.#life = undefined;
    life.worker.postMessage('end' satisfies End);
  }

  /** Only now it surely reads nothing any more: whose request it had may close the file. */
  #ended(life: Life): void {
    clearTimeout(life.idle);
    if (this.#life === life) this.#life = undefined;
    const death = new Error('the thread that reads has died', { cause: life.failure });
    for (const { path, reject } of life.requests.values()) reject(toStorageError(death, `read ${path}`));
    life.requests.clear();
  }
}

function sharedBytes(length: number): SharedBytes {
  return new Uint8Array(new SharedArrayBuffer(Math.max(length, BUFFER_BYTES)));
}

function replied({ worker, requests, idle, spare }: Life, reply: PartsReply | FailedReply): void {
  const request = requests.get(reply.id) as Request;
  requests.delete(reply.id);
  if (requests.size === 0) worker.unref();
  idle.refresh();
  try {
    if ('code' in reply)
      throw toStorageError(
        Object.assign(new Error(reply.message), { code: reply.code }),
        `read ${request.path}`,
      );
    visitParts(request, reply.lengths);
    request.resolve();
  } catch (error) {
    request.reject(error);
  }
  if (request.buffer.length === BUFFER_BYTES && spare.length < SPARE_MAX_COUNT) spare.push(request.buffer);
}

function visitParts({ parts, buffer, visit }: Request, lengths: Uint32Array): void {
  let at = 0;
  for (const [i, { length }] of parts.entries()) {
    visit(i, buffer, at, at + (lengths[i] as number));
    at += length;
  }
}
