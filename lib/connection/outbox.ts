/**
 * Output of one connection. Everything that a turn of the event loop produces is gathered in one pooled buffer and
 * handed to the transport once, at the end of the turn: at high rates system calls, not bytes, are what sending costs.
 *
 * While the transport has not taken the last write, small output keeps gathering, so that a client who stops reading pins
 * no more memory than the bytes it is owed. `pending` is what the caps of delivery look at.
 */
import { count, C, type Counters } from '../telemetry/counters.js';
import type { FlushQueue } from './flush-queue.js';
import type { Transport } from './transport.js';

export const BUFFER_BYTES = 65536;
/** What most connections send in one turn fits this. */
export const SMALL_BUFFER_BYTES = 4096;
/** A large buffer with less than this in it is given back, and its bytes leave in a copy. */
const COPY_BELOW_BYTES = 8192;
/** From this size on, bytes that nobody will change are handed to the transport without being copied. */
const PASS_THROUGH_BYTES = 16384;
const SMALL_POOL_MAX_COUNT = 1024;
const LARGE_POOL_MAX_COUNT = 64;

/**
 * Buffers of two sizes that are not in use. An idle connection holds none; one with little to say gets a small one, so that
 * a message to a thousand clients does not touch a thousand large buffers.
 */
export class BufferPool {
  readonly #small: Uint8Array[] = [];
  readonly #large: Uint8Array[] = [];

  /** A buffer with room for `size` bytes, at most BUFFER_BYTES. */
  take(size: number): Uint8Array {
    if (size <= SMALL_BUFFER_BYTES) return this.#small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
    return this.#large.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }

  give(buffer: Uint8Array): void {
    if (buffer.length === SMALL_BUFFER_BYTES) {
      if (this.#small.length < SMALL_POOL_MAX_COUNT) this.#small.push(buffer);
    } else if (buffer.length === BUFFER_BYTES && this.#large.length < LARGE_POOL_MAX_COUNT) {
      this.#large.push(buffer);
    }
  }
}

/** Bytes that wait in memory for clients, over the whole gateway, against one limit. */
export class MemoryBudget {
  used = 0;
  /** Gives up what can be read back from storage. */
  relieve: (() => void) | undefined;
  constructor(readonly maxBytes: number) {}
  get exhausted(): boolean {
    return this.used >= this.maxBytes;
  }
  /** Whether it still is when what can be given up was. */
  isExhausted(): boolean {
    if (!this.exhausted) return false;
    this.relieve?.();
    return this.exhausted;
  }
}

export interface OutboxEnvironment {
  readonly pool: BufferPool;
  readonly flushQueue: FlushQueue;
  readonly budget: MemoryBudget;
  readonly counters: Counters;
}

export class Outbox {
  /** Bytes handed to the transport and not yet taken. */
  #handedBytes = 0;
  #buffer: Uint8Array | undefined;
  #offset = 0;
  #queued = false;
  #closed = false;
  /** Sizes and buffers of the writes that the transport has not taken yet, in order. */
  readonly #writes: { bytes: number; buffer: Uint8Array | undefined }[] = [];
  readonly #env: OutboxEnvironment;
  readonly #transport: Transport;
  readonly #taken = (): void => this.#onTaken();
  /** Rises with each write that the transport has taken. */
  takenCount = 0;
  /** Called whenever the transport has taken something; for whoever stopped because of `pending`. */
  onTaken: (() => void) | undefined;

  constructor(transport: Transport, env: OutboxEnvironment) {
    this.#transport = transport;
    this.#env = env;
  }

  /** Bytes that the client has not taken: gathered and handed over. */
  get pending(): number {
    return this.#handedBytes + this.#offset;
  }

  /** Whether the transport has not taken everything that was handed to it. */
  get isBehind(): boolean {
    return this.#writes.length > 0;
  }

  /**
   * Room for `size` contiguous bytes; the caller writes them at the returned offset of `this.buffer`, then calls
   * `commit(size)`. For sizes up to BUFFER_BYTES.
   */
  reserve(size: number): number {
    const buffer = this.#buffer;
    if (buffer === undefined) {
      this.#buffer = this.#env.pool.take(size);
    } else if (this.#offset + size > buffer.length) {
      this.#makeRoom(buffer, size);
    }
    return this.#offset;
  }

  /** Valid after `reserve`. */
  get buffer(): Uint8Array {
    return this.#buffer as Uint8Array;
  }

  commit(size: number): void {
    this.#offset += size;
    if (!this.#queued) {
      this.#queued = true;
      this.#env.flushQueue.add(this);
    }
  }

  /** Sends bytes as they are. They are copied, unless they are many and `stable` says that nobody will change them. */
  append(bytes: Uint8Array, stable: boolean): void {
    if (bytes.length >= PASS_THROUGH_BYTES && (stable || bytes.length > BUFFER_BYTES)) {
      this.#hand();
      this.#write(stable ? bytes : Uint8Array.prototype.slice.call(bytes), undefined);
      return;
    }
    const offset = this.reserve(bytes.length);
    this.buffer.set(bytes, offset);
    this.commit(bytes.length);
  }

  /** Called by the flush queue at the end of the turn. */
  flush(): void {
    this.#queued = false;
    if (this.#offset === 0) return;
    // The transport is behind: go on gathering, `#onTaken` flushes. A full buffer is handed over by `reserve`.
    if (this.#writes.length > 0) return;
    this.#hand();
  }

  /** Sends what is gathered, then closes. */
  end(): void {
    if (this.#closed) return;
    this.#hand();
    this.#closed = true;
    this.#transport.end();
  }

  /** The transport is gone: gives everything back. */
  close(): void {
    this.#closed = true;
    this.#env.budget.used -= this.#handedBytes;
    this.#handedBytes = 0;
    this.#writes.length = 0;
    this.#offset = 0;
    if (this.#buffer !== undefined) this.#env.pool.give(this.#buffer);
    this.#buffer = undefined;
    this.onTaken = undefined;
  }

  #makeRoom(buffer: Uint8Array, size: number): void {
    const { pool } = this.#env;
    if (this.#offset + size > BUFFER_BYTES) {
      this.#hand();
      this.#buffer = pool.take(BUFFER_BYTES);
      return;
    }
    const larger = pool.take(BUFFER_BYTES);
    larger.set(buffer.subarray(0, this.#offset));
    pool.give(buffer);
    this.#buffer = larger;
  }

  #hand(): void {
    const buffer = this.#buffer;
    const length = this.#offset;
    if (buffer === undefined || length === 0) return;
    this.#offset = 0;
    if (buffer.length === BUFFER_BYTES && length < COPY_BELOW_BYTES) {
      const copy = Buffer.allocUnsafe(length);
      copy.set(buffer.subarray(0, length));
      this.#env.pool.give(buffer);
      this.#buffer = undefined;
      this.#write(copy, undefined);
    } else {
      this.#buffer = undefined;
      this.#write(buffer.subarray(0, length), buffer);
    }
  }

  #write(bytes: Uint8Array, buffer: Uint8Array | undefined): void {
    if (this.#closed) {
      if (buffer !== undefined) this.#env.pool.give(buffer);
      return;
    }
    count(this.#env.counters, C.bytesSent, bytes.length);
    this.#handedBytes += bytes.length;
    this.#env.budget.used += bytes.length;
    this.#writes.push({ bytes: bytes.length, buffer });
    this.#transport.write(bytes, this.#taken);
  }

  #onTaken(): void {
    const write = this.#writes.shift();
    if (write === undefined) return;
    this.takenCount++;
    this.#handedBytes -= write.bytes;
    this.#env.budget.used -= write.bytes;
    if (write.buffer !== undefined) this.#env.pool.give(write.buffer);
    if (this.#writes.length === 0) this.#hand();
    this.onTaken?.();
  }
}
