/** One connection of an attacker: writes anything in any portions, and judges what comes back. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { decodePacket, type Packet, type ProtocolVersion } from '../../lib/protocol/index.js';
import * as wire from '../support/wire.js';
import { FrameSplitter } from './frame-splitter.js';
import type { Random } from './random.js';
import type { Ending, RecordedConnection } from './record.js';

export interface AttackSocketOptions {
  readonly port: number;
  readonly random: Random;
  readonly version: ProtocolVersion;
  readonly record: RecordedConnection;
  readonly onPacket: (packet: Packet) => void;
  readonly onFault: (fault: string) => void;
}

export class AttackSocket {
  /** Largest packet that this client said it takes. */
  maximumPacketSize = Infinity;
  /** Whether CONNECT was well-formed, so that the version of the answers is known. */
  versionKnown = false;
  ended = false;
  readonly #options: AttackSocketOptions;
  readonly #socket: Socket;
  readonly #splitter = new FrameSplitter();
  readonly #waiting = new Set<() => void>();
  #goodbye = false;

  private constructor(socket: Socket, options: AttackSocketOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (bytes: Buffer) => this.#received(bytes));
    socket.on('error', () => undefined); // A reset is one of the ways to be closed.
    socket.on('close', () => {
      this.ended = true;
      this.#wake();
    });
  }

  static async open(options: AttackSocketOptions): Promise<AttackSocket> {
    const socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true });
    const attack = new AttackSocket(socket, options);
    await once(socket, 'connect');
    return attack;
  }

  /** At once or in pieces, down to single bytes. */
  async write(bytes: Buffer): Promise<void> {
    const { random, record } = this.#options;
    record.steps.push({ write: bytes.toString('hex') });
    const pieces = random.pick([1, 1, 1, 1, 1, 1, 2, 2, 3, Math.min(bytes.length, 20)]);
    const size = Math.max(1, Math.ceil(bytes.length / pieces));
    for (let at = 0; at < bytes.length; at += size) {
      if (at > 0) await nextTurn();
      if (this.ended || this.#socket.writableEnded) return;
      this.#socket.write(bytes.subarray(at, at + size));
    }
  }

  pause(): void {
    this.#socket.pause();
  }

  /** Resolves true once `test` holds, looked at after each arrival and at the end; false where time is up. */
  async until(test: () => boolean, timeoutMs: number): Promise<boolean> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, timeoutMs);
    while (!test() && !late) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    clearTimeout(timer);
    return test();
  }

  async close(ending: Ending): Promise<void> {
    if (this.ended) return;
    this.#options.record.steps.push({ end: ending });
    this.#socket.resume();
    if (ending === 'disconnect' && !this.#socket.writableEnded) this.#socket.write(wire.disconnect());
    if (ending === 'reset') this.#socket.resetAndDestroy();
    else this.#socket.end();
    await this.until(() => this.ended, 3000);
    if (!this.ended) this.#options.onFault(`a connection stays open after its ${ending}`);
    this.#socket.destroy();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #received(bytes: Buffer): void {
    try {
      for (const frame of this.#splitter.split(bytes)) this.#take(frame);
    } catch (error) {
      this.#options.onFault(`an attacker cannot read its answer: ${String(error)}`);
    }
    this.#wake();
  }

  #take(frame: Buffer): void {
    if (this.#goodbye) this.#options.onFault(`something follows DISCONNECT: ${frame.toString('hex')}`);
    if (frame.length > this.maximumPacketSize)
      this.#options.onFault(`${frame.length} bytes are above Maximum Packet Size ${this.maximumPacketSize}`);
    const packet = this.#decode(frame);
    if (packet.type === 'disconnect') this.#goodbye = true;
    this.#options.onPacket(packet);
  }

  #decode(frame: Buffer): Packet {
    const { version } = this.#options;
    if (this.versionKnown) return decodePacket(frame, version, 'toClient');
    try {
      return decodePacket(frame, 5, 'toClient');
    } catch {
      return decodePacket(frame, 4, 'toClient');
    }
  }
}
