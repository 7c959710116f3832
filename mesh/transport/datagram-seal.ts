/**
 * Encrypts datagrams with keys of our own. Those of the stream library come from the handshake hash, which whoever relayed the
 * handshake may know, and it takes a datagram as often as it is sent.
 *
 *     counter (u64, big-endian) · ChaCha20-Poly1305 of the bytes, nonce 0⁴ ‖ counter
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { REPLAY_WINDOW } from './limits.js';

const ALGORITHM = 'chacha20-poly1305';
const COUNTER_BYTES = 8;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const KEY_BYTES = 32;
export const SEAL_OVERHEAD_BYTES = COUNTER_BYTES + TAG_BYTES;
export const SEAL_SECRET_BYTES = 32;

export class DatagramSeal {
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  readonly #window = new ReplayWindow(REPLAY_WINDOW);
  #sent = 0;
  /** Forged, replayed or cut. */
  dropped = 0;

  /** @param ownSecret, peerSecret of SEAL_SECRET_BYTES, exchanged over the encrypted stream */
  constructor(ownSecret: Uint8Array, peerSecret: Uint8Array, isDialler: boolean) {
    const [dialler, listener] = isDialler ? [ownSecret, peerSecret] : [peerSecret, ownSecret];
    const secret = Buffer.concat([dialler, listener]);
    const keyOf = (side: string): Uint8Array =>
      new Uint8Array(hkdfSync('sha256', secret, 'sprawl-edge datagram 1', side, KEY_BYTES));
    this.#sendKey = keyOf(isDialler ? 'dialler' : 'listener');
    this.#receiveKey = keyOf(isDialler ? 'listener' : 'dialler');
  }

  seal(bytes: Uint8Array): Uint8Array {
    const nonce = nonceOf(++this.#sent);
    const cipher = createCipheriv(ALGORITHM, this.#sendKey, nonce, { authTagLength: TAG_BYTES });
    const sealed = cipher.update(bytes);
    cipher.final();
    return Buffer.concat([nonce.subarray(NONCE_BYTES - COUNTER_BYTES), sealed, cipher.getAuthTag()]);
  }

  /** undefined: forged, or here before, or too late to tell. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    const opened = this.#open(sealed);
    if (opened === undefined) this.dropped++;
    return opened;
  }

  #open(sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < SEAL_OVERHEAD_BYTES) return undefined;
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
    const counter = bytes.readBigUInt64BE(0);
    if (counter > Number.MAX_SAFE_INTEGER) return undefined;
    const at = Number(counter);
    if (!this.#window.isNew(at)) return undefined;
    const decipher = createDecipheriv(ALGORITHM, this.#receiveKey, nonceOf(at), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    const plain = decipher.update(bytes.subarray(COUNTER_BYTES, bytes.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    this.#window.add(at);
    return plain;
  }
}

function nonceOf(counter: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(counter), NONCE_BYTES - COUNTER_BYTES);
  return nonce;
}

/** Which of the last `size` numbers have been. */
export class ReplayWindow {
  readonly #size: number;
  /** The number that was last at each place: numbers that share a place are `size` apart. */
  readonly #seen: Float64Array;
  #newest = 0;

  constructor(size: number) {
    this.#size = size;
    this.#seen = new Float64Array(size);
  }

  /** @param number from 1 */
  isNew(number: number): boolean {
    return number > 0 && number > this.#newest - this.#size && this.#seen[number % this.#size] !== number;
  }

  add(number: number): void {
    this.#seen[number % this.#size] = number;
    if (number > this.#newest) this.#newest = number;
  }
}
