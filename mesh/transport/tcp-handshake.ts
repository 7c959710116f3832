/**
 * Who the two ends of a TCP connection are, before anything else is said on it: Noise XXpsk0 with a key that only members have.
 * The first message of a stranger cannot be decrypted and gets no answer; the second of a stranger that was dialled neither.
 *
 *     u16 length (little-endian) · Noise message          three of them, each at most 256 bytes, within 3 s
 */
import type { Socket } from 'node:net';
import curve from 'noise-curve-ed';
import Noise from 'noise-handshake';
import type { Timers } from '../../lib/contracts/clock.js';
import type { NoiseKeys } from './frame-stream.js';
import { PROOF_TIMEOUT_MS, UNPROVEN_MESSAGE_MAX_BYTES } from './limits.js';
import { Reason } from './reasons.js';

const PROLOGUE = Buffer.from('sprawl-edge/link/1');
const LENGTH_BYTES = 2;

export interface TransportKeyPair {
  readonly publicKey: Uint8Array;
  /** Of 64 bytes, as libsodium has it: seed and public key. */
  readonly secretKey: Uint8Array;
}

export interface SecuredSocket {
  readonly keys: NoiseKeys;
  /** What was read beyond. The socket is paused. */
  readonly rest: Buffer;
}

export type TcpHandshakeResult = SecuredSocket | { readonly failure: string };

export interface TcpHandshakeOptions {
  readonly initiator: boolean;
  readonly keyPair: TransportKeyPair;
  /** Of 32 bytes, from the swarm key. */
  readonly preSharedKey: Uint8Array;
  readonly timers: Timers;
}

/** Destroys the socket when it fails. Never rejects. */
export function secureSocket(socket: Socket, options: TcpHandshakeOptions): Promise<TcpHandshakeResult> {
  return new Promise((resolve) => {
    new TcpHandshake(socket, options, resolve).start();
  });
}

class TcpHandshake {
  readonly #socket: Socket;
  readonly #options: TcpHandshakeOptions;
  readonly #noise: Noise;
  readonly #resolve: (result: TcpHandshakeResult) => void;
  #buffer: Buffer = Buffer.alloc(0);
  #settled = false;
  #stopTimer = (): void => {};

  constructor(socket: Socket, options: TcpHandshakeOptions, resolve: (result: TcpHandshakeResult) => void) {
    this.#socket = socket;
    this.#options = options;
    this.#resolve = resolve;
    this.#noise = new Noise('XXpsk0', options.initiator, options.keyPair, {
      curve,
      psk: Buffer.from(options.preSharedKey),
    });
    this.#noise.initialise(PROLOGUE);
  }

  start(): void {
    const timer = this.#options.timers.after(PROOF_TIMEOUT_MS, () => this.#fail(Reason.proofTimeout));
    this.#stopTimer = () => timer.cancel();
    this.#socket.on('data', this.#onData);
    this.#socket.on('close', this.#onClose);
    if (this.#socket.destroyed) this.#onClose();
    else if (this.#options.initiator) this.#send();
  }

  // What a dialler sees of a listener that cannot decrypt: it just closes.
  #onClose = (): void => this.#fail(this.#options.initiator ? Reason.stranger : Reason.ended);

  #onData = (bytes: Buffer): void => {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    try {
      this.#read();
    } catch {
      this.#fail(Reason.stranger);
    }
  };

  #read(): void {
    while (!this.#noise.complete) {
      if (this.#buffer.length < LENGTH_BYTES) return;
      const length = this.#buffer.readUInt16LE(0);
      if (length > UNPROVEN_MESSAGE_MAX_BYTES) return this.#fail(Reason.stranger);
      if (this.#buffer.length < LENGTH_BYTES + length) return;
      this.#noise.recv(this.#buffer.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
      this.#buffer = this.#buffer.subarray(LENGTH_BYTES + length);
      if (!this.#noise.complete) this.#send();
    }
    this.#succeed();
  }

  #send(): void {
    const message = this.#noise.send();
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt16LE(message.length);
    this.#socket.write(Buffer.concat([length, message]));
    if (this.#noise.complete) this.#succeed();
  }

  #succeed(): void {
    if (!this.#settle()) return;
    this.#socket.pause();
    const { tx, rx, hash, rs } = this.#noise;
    const keys = {
      tx: Buffer.from(tx),
      rx: Buffer.from(rx),
      hash: Buffer.from(hash),
      publicKey: Buffer.from(this.#options.keyPair.publicKey),
      remotePublicKey: Buffer.from(rs),
    };
    this.#resolve({ keys, rest: this.#buffer });
  }

  #fail(failure: string): void {
    if (!this.#settle()) return;
    this.#socket.destroy();
    this.#resolve({ failure });
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#stopTimer();
    this.#socket.off('data', this.#onData);
    this.#socket.off('close', this.#onClose);
    return true;
  }
}
