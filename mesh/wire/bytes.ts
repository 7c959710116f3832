/**
 * How the frames of the mesh are written and read. Numbers of fixed size have the least significant byte first; a varint has seven bits
 * in each byte, the least significant first, up to 2^53 - 1, in as few bytes as it needs; bytes and text come after their length as a varint.
 */

const TWO_TO_32 = 0x1_0000_0000;
/** What 53 bits need. */
const VARINT_MAX_BYTES = 8;
/** Longer texts are worth a call of the encoder. */
const SHORT_TEXT_CHARACTERS = 48;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A frame that no peer of this protocol sends. The reason is for the log and for the other side. */
export class MalformedFrame extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'MalformedFrame';
  }
}

/** Grows as it has to, and can be used again after `finish` or `clear`: then it allocates nothing but what it gives away. */
export class ByteWriter {
  #out: Buffer;
  #at = 0;

  constructor(initialBytes = 256) {
    this.#out = Buffer.allocUnsafeSlow(Math.max(16, initialBytes));
  }

  /** Bytes written since the last `finish`. */
  get length(): number {
    return this.#at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#out[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#out[at] = value;
    this.#out[at + 1] = value >>> 8;
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    const out = this.#out;
    out[at] = value;
    out[at + 1] = value >>> 8;
    out[at + 2] = value >>> 16;
    out[at + 3] = value >>> 24;
    return this;
  }

  u48(value: number): this {
    this.u32(value >>> 0);
    return this.u16(Math.floor(value / TWO_TO_32));
  }

  /** @param value whole, from 0 to 2^53 - 1; anything else is a bug */
  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no varint`);
    let at = this.#reserve(VARINT_MAX_BYTES);
    const out = this.#out;
    while (value >= TWO_TO_32) {
      out[at++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    let low = value >>> 0;
    while (low >= 0x80) {
      out[at++] = low | 0x80;
      low >>>= 7;
    }
    out[at++] = low;
    this.#at = at;
    return this;
  }

  /** With its length before it. */
  bytes(value: Uint8Array): this {
    this.varint(value.length);
    return this.raw(value, 0, value.length);
  }

  /** `value[start, end)` without a length. */
  raw(value: Uint8Array, start = 0, end = value.length): this {
    const length = end - start;
    const at = this.#reserve(length);
    const out = this.#out;
    // The call costs more than the bytes of a small one.
    if (length > 64) out.set(start === 0 && end === value.length ? value : value.subarray(start, end), at);
    else for (let i = 0; i < length; i++) out[at + i] = value[start + i] as number;
    return this;
  }

  /** UTF-8, with its length before it. */
  text(value: string): this {
    if (value.length <= SHORT_TEXT_CHARACTERS && this.#ascii(value)) return this;
    this.varint(Buffer.byteLength(value, 'utf8'));
    return this.utf8(value);
  }

  /** UTF-8 without a length. */
  utf8(value: string): this {
    const length = Buffer.byteLength(value, 'utf8');
    const at = this.#reserve(length);
    this.#out.write(value, at, length, 'utf8');
    return this;
  }

  /** Writes a u16, the most significant byte first, over two bytes at `at` that were written before. */
  patchU16(at: number, value: number): void {
    if (at + 2 > this.#at) throw new RangeError(`${at} is not written yet`);
    this.#out[at] = value >>> 8;
    this.#out[at + 1] = value;
  }

  /** What was written; it is the caller's own. The writer begins anew. */
  finish(): Uint8Array {
    const written = new Uint8Array(this.#at);
    written.set(this.#out.subarray(0, this.#at));
    this.#at = 0;
    return written;
  }

  /** Forgets what was written. */
  clear(): void {
    this.#at = 0;
  }

  /** Forgets what was written behind `length`. */
  cut(length: number): void {
    if (length < this.#at) this.#at = length;
  }

  #ascii(value: string): boolean {
    const length = value.length;
    const start = this.#reserve(1 + length);
    const out = this.#out;
    out[start] = length;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) {
        this.#at = start;
        return false;
      }
      out[start + 1 + i] = code;
    }
    return true;
  }

  /** @returns where `count` bytes have room. */
  #reserve(count: number): number {
    const at = this.#at;
    if (at + count > this.#out.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#out.length * 2, at + count));
      grown.set(this.#out.subarray(0, at));
      this.#out = grown;
    }
    this.#at = at + count;
    return at;
  }
}

/** Reads what another gateway wrote, and believes nothing: whatever is not there or too long throws MalformedFrame, before anything is allocated for it. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#at = 0;
    this.#end = bytes.length;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  /** Where in the bytes it stands. */
  get offset(): number {
    return this.#at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.#bytes[at] as number) | ((this.#bytes[at + 1] as number) << 8);
  }

  u32(): number {
    const at = this.#take(4);
    const bytes = this.#bytes;
    return (
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24)) >>>
      0
    );
  }

  u48(): number {
    const low = this.u32();
    return low + this.u16() * TWO_TO_32;
  }

  varint(): number {
    const first = this.u8();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let scale = 0x80, count = 1; count < VARINT_MAX_BYTES; scale *= 0x80, count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      if (byte === 0) throw new MalformedFrame('a number has more bytes than it needs');
      if (value > Number.MAX_SAFE_INTEGER) break;
      return value;
    }
    throw new MalformedFrame('a number is too large');
  }

  /** A view into the frame, not a copy. */
  bytes(maxLength: number): Uint8Array {
    return this.raw(this.#length(maxLength));
  }

  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Passes over `length` bytes. @returns where they begin. */
  skip(length: number): number {
    return this.#take(length);
  }

  text(maxBytes: number): string {
    const length = this.#length(maxBytes);
    return textOf(this.#bytes, this.#take(length), length);
  }

  /** Nothing may come behind what was read. */
  end(): void {
    if (!this.done) throw new MalformedFrame(`${this.remaining} bytes too many`);
  }

  #length(max: number): number {
    const length = this.varint();
    if (length > max) throw new MalformedFrame(`a length of ${length}, at most ${max} is allowed`);
    return length;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) throw new MalformedFrame('the frame is cut off');
    this.#at = at + count;
    return at;
  }
}

function textOf(bytes: Uint8Array, start: number, length: number): string {
  const view = bytes.subarray(start, start + length);
  try {
    return strictUtf8.decode(view);
  } catch {
    throw new MalformedFrame('a text is not UTF-8');
  }
}
