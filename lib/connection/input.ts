/**
 * Cuts the byte stream of one connection into frames. Bytes are looked at where they arrived; only the part of a frame that
 * a read cut off is copied. A frame that will be too large is refused by its header, before its body is awaited.
 */
import { malformed } from '../protocol/frame-reader.js';
import type { ProtocolError } from '../protocol/protocol-error.js';

export interface FrameHandler {
  /** Bytes that a frame may have, fixed header included. */
  readonly frameMaxBytes: number;
  /** A frame begins with this byte and is not whole yet: a chance to refuse it without waiting for the rest. @throws ProtocolError */
  begins(first: number): void;
  /** A frame of `size` bytes at `start` is more than `frameMaxBytes`; what arrived of it is in `bytes`. @returns what to throw */
  tooLarge(bytes: Uint8Array, start: number, size: number): ProtocolError;
  /** One whole frame, `bytes[start, end)`, its variable header at `body`. The bytes do not change afterwards. @throws ProtocolError */
  frame(bytes: Uint8Array, start: number, body: number, end: number): void;
}

/** A rest below this is copied, so that it does not hold its read buffer in memory. */
const COPY_REST_BELOW_BYTES = 16384;
/** Reads below this that have to wait are gathered: a packet that comes byte by byte may not cost an object a byte. */
const GATHER_BELOW_BYTES = 2048;
const GATHER_MIN_BYTES = 512;
const GATHER_MAX_BYTES = 16384;

export class Input {
  readonly #handler: FrameHandler;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Holds the last piece of `#waiting` and has room for more; undefined: that piece is a read of its own. */
  #gather: Uint8Array | undefined;
  /** Bytes until the next frame is whole. */
  #neededBytes = 0;
  #suspensions = 0;
  #cutting = false;
  #stopped = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Bytes that arrived and were not processed. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get suspended(): boolean {
    return this.#suspensions > 0;
  }

  /** @throws ProtocolError from the handler, or for a malformed or too large frame; then nothing more may be fed. */
  feed(bytes: Uint8Array): void {
    if (this.#stopped) return;
    if (this.#waitingBytes > 0) {
      this.#push(bytes);
      if (!this.#cutting) this.#process();
    } else if (this.#suspensions > 0 || this.#cutting) {
      this.#keep(bytes, 0);
    } else {
      this.#cut(bytes);
      // Fed from inside a frame, by a transport that answers at once.
      if (this.#waitingBytes > 0) this.#process();
    }
  }

  /** No frame is handed on until as many `resume` calls came; the current one is finished. */
  suspend(): void {
    this.#suspensions++;
  }

  /** @throws as `feed`: what waited is processed from inside, unless the call comes from inside a frame. */
  resume(): void {
    if (this.#suspensions > 0) this.#suspensions--;
    if (!this.#cutting) this.#process();
  }

  /** Forgets what waits and ignores what comes. */
  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
    this.#gather = undefined;
    this.#waitingBytes = 0;
  }

  /** Adds to what waits; never as the first piece. */
  #push(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#waitingBytes += length;
    if (length >= GATHER_BELOW_BYTES) {
      this.#gather = undefined;
      this.#waiting.push(bytes);
      return;
    }
    const last = this.#waiting.length - 1;
    const gathered = this.#gather === undefined ? 0 : (this.#waiting[last]?.length ?? 0);
    if (this.#gather !== undefined && gathered + length <= this.#gather.length) {
      this.#gather.set(bytes, gathered);
      this.#waiting[last] = this.#gather.subarray(0, gathered + length);
      return;
    }
    const size = Math.max(GATHER_MIN_BYTES, length, this.#neededBytes - this.#waitingBytes);
    this.#gather = new Uint8Array(Math.min(GATHER_MAX_BYTES, size));
    this.#gather.set(bytes);
    this.#waiting.push(this.#gather.subarray(0, length));
  }

  #process(): void {
    while (
      !this.#stopped &&
      this.#suspensions === 0 &&
      this.#waitingBytes > 0 &&
      this.#waitingBytes >= this.#neededBytes
    ) {
      const [first] = this.#waiting;
      const bytes = this.#waiting.length === 1 && first !== undefined ? first : Buffer.concat(this.#waiting);
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#gather = undefined;
      this.#neededBytes = 0;
      this.#cut(bytes);
    }
  }

  #cut(bytes: Uint8Array): void {
    const handler = this.#handler;
    const { length } = bytes;
    let at = 0;
    this.#cutting = true;
    try {
      while (at < length && this.#suspensions === 0) {
        let body = at + 2;
        let remaining = bytes[at + 1] as number;
        if (body > length) {
          this.#neededBytes = 2;
          handler.begins(bytes[at] as number);
          break;
        }
        if (remaining >= 0x80) {
          remaining &= 0x7f;
          const lengthBytes = readLongLength(bytes, body, length);
          if (lengthBytes === 0) {
            this.#neededBytes = length - at + 1;
            handler.begins(bytes[at] as number);
            break;
          }
          for (let i = 0; i < lengthBytes; i++)
            remaining += ((bytes[body + i] as number) & 0x7f) << (7 * (i + 1));
          body += lengthBytes;
        }
        const end = body + remaining;
        if (end - at > handler.frameMaxBytes) throw handler.tooLarge(bytes, at, end - at);
        if (end > length) {
          this.#neededBytes = end - at;
          handler.begins(bytes[at] as number);
          break;
        }
        handler.frame(bytes, at, body, end);
        at = end;
        if (this.#stopped) return;
      }
    } finally {
      this.#cutting = false;
    }
    if (at < length) this.#keep(bytes, at);
  }

  #keep(bytes: Uint8Array, at: number): void {
    const rest = bytes.subarray(at);
    // What waits already was fed while these bytes were cut, and comes after them.
    this.#waiting.unshift(rest.length < COPY_REST_BELOW_BYTES ? Uint8Array.prototype.slice.call(rest) : rest);
    this.#waitingBytes += rest.length;
  }
}

/** @returns how many bytes of the remaining length follow the first, 0 where they have not all arrived. @throws ProtocolError */
function readLongLength(bytes: Uint8Array, at: number, length: number): number {
  for (let count = 1; count <= 3; count++) {
    if (at + count > length) return 0;
    const byte = bytes[at + count - 1] as number;
    if (byte < 0x80) {
      if (byte === 0) throw malformed('the remaining length is not in its shortest form');
      return count;
    }
  }
  throw malformed('the remaining length has more than four bytes');
}
