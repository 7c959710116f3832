/** Has the pieces of one body sent by another gateway: some are on their way at a time, and they come in the order in which they were asked for. */
import type { Clock, TimerHandle, Timers } from '../../../lib/contracts/clock.js';
import { PULL_BYTES, PULL_WITHIN_MS } from './limits.js';
import type { PullWindow } from './pull-window.js';

export interface PullerPorts {
  readonly clock: Pick<Clock, 'now'>;
  readonly timers: Timers;
  /** Of the gateway. */
  readonly window: PullWindow;
  /** @returns false: it does not get through */
  pull(offset: number, length: number): boolean;
}

/** What is being put together. */
interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
  asked: number;
  got: number;
  /** Asked for and not come, oldest first. */
  readonly pulls: { left: number; readonly bytes: number; readonly at: number }[];
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

export class BodyPuller {
  readonly #ports: PullerPorts;
  readonly #length: number;
  readonly #pieceMaxBytes: number;
  #piece: Piece | undefined;
  #ended: string | undefined;
  #patience: TimerHandle | undefined;

  /** @param length of the whole @param pieceMaxBytes that are read at once at most */
  constructor(ports: PullerPorts, length: number, pieceMaxBytes: number) {
    this.#ports = ports;
    this.#length = length;
    this.#pieceMaxBytes = pieceMaxBytes;
  }

  /** Whether anything is to come. What was given up may still be on its way. */
  get isWaiting(): boolean {
    return this.#piece !== undefined;
  }

  /** One after the other. @throws Error where it does not come */
  read(offset: number, length: number): Promise<Uint8Array> {
    if (this.#ended !== undefined) return Promise.reject(new Error(this.#ended));
    if (length === 0) return Promise.resolve(new Uint8Array(0));
    if (this.#piece !== undefined || length > this.#pieceMaxBytes || offset + length > this.#length)
      return Promise.reject(new RangeError(`${length} bytes at ${offset} cannot be read now`));
    return new Promise((resolve, reject) => {
      const bytes = new Uint8Array(length);
      this.#piece = { offset, bytes, asked: 0, got: 0, pulls: [], resolve, reject };
      this.#wait();
      this.#pump(this.#piece);
    });
  }

  /** @param bytes are copied @returns why nobody should have sent them; undefined: all is well */
  came(offset: number, bytes: Uint8Array): string | undefined {
    const piece = this.#piece;
    if (piece === undefined) return undefined;
    if (offset !== piece.offset + piece.got || bytes.length > piece.asked - piece.got || bytes.length === 0)
      return `it sent ${bytes.length} bytes at ${offset} of an object, which nobody asked for`;
    piece.bytes.set(bytes, piece.got);
    piece.got += bytes.length;
    this.#account(piece, bytes.length);
    this.#wait();
    if (piece.got < piece.bytes.length) this.#pump(piece);
    else {
      this.#forget();
      piece.resolve(piece.bytes);
    }
    return undefined;
  }

  /** Nothing comes any more. */
  end(reason: string): void {
    this.#ended ??= reason;
    const piece = this.#piece;
    if (piece === undefined) return;
    for (const { bytes } of piece.pulls) this.#ports.window.dropped(bytes);
    this.#forget();
    piece.reject(new Error(this.#ended));
  }

  #pump(piece: Piece): void {
    const { window, clock, pull } = this.#ports;
    while (piece.asked < piece.bytes.length && window.hasRoom) {
      const bytes = Math.min(PULL_BYTES, piece.bytes.length - piece.asked);
      if (!pull(piece.offset + piece.asked, bytes)) return this.end('the link to it broke');
      piece.asked += bytes;
      piece.pulls.push({ left: bytes, bytes, at: clock.now() });
      window.asked(bytes);
    }
  }

  #account({ pulls }: Piece, bytes: number): void {
    const { window, clock } = this.#ports;
    let rest = bytes;
    for (let first = pulls[0]; first !== undefined && rest > 0; first = pulls[0]) {
      const taken = Math.min(rest, first.left);
      rest -= taken;
      first.left -= taken;
      if (first.left > 0) return;
      pulls.shift();
      window.came(first.bytes, clock.now() - first.at);
    }
  }

  #wait(): void {
    this.#patience?.cancel();
    this.#patience = this.#ports.timers.after(PULL_WITHIN_MS, () =>
      this.end(`it sent nothing for ${PULL_WITHIN_MS / 1000} s`),
    );
  }

  #forget(): void {
    this.#patience?.cancel();
    this.#piece = undefined;
  }
}
