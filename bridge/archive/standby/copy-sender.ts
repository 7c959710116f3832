/**
 * Copies what is to be archived here to one gateway that keeps it, over one link. A chunk is on its way at a time, so that live messages wait behind no
 * more than that.
 *
 *     nothing is wanted ── want ──▶ reading ── rows ──▶ sent ── ack ──▶ resting, or reading on where more is there
 *                                      └── none, and the end of the log ───▶ resting
 */
import type { LogPosition } from '../../../lib/contracts/store.js';
import type { LogRead } from '../row-columns.js';
import { encodeChunk } from './copy-chunk.js';
import { encodeParts, encodeWithheld } from './copy-frames.js';

export interface CopySenderPorts {
  now(): number;
  send(frame: Uint8Array): void;
  /** The newest position that is committed. */
  head(): LogPosition;
  /** Some of what is to be archived behind `after`. */
  read(after: LogPosition): Promise<LogRead>;
}

export interface CopySenderOptions {
  /** 0: as fast as the link. */
  readonly bytesPerSecond: number;
}

/** Where nothing is behind, so much is waited for: each chunk is a sync of the disk over there. */
const GATHER_MS = 1000;

type State = 'unwanted' | 'reading' | 'sent' | 'resting';

export class CopySender {
  readonly #ports: CopySenderPorts;
  readonly #options: CopySenderOptions;
  #state: State = 'unwanted';
  /** Counts what was wanted: what is read for an older want is nobody's. */
  #wants = 0;
  #maxBytes = 0;
  /** Everything up to here is there for good. */
  #has: LogPosition = 0;
  /** Everything up to here was read, and is there or holds nothing. */
  #readUpTo: LogPosition = 0;
  #sentUpTo: LogPosition = 0;
  #notBefore = -Infinity;

  constructor(ports: CopySenderPorts, options: CopySenderOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  wanted(after: LogPosition, maxBytes: number): void {
    this.#wants++;
    this.#maxBytes = maxBytes;
    this.#has = after;
    this.#readUpTo = after;
    this.#state = 'resting';
    this.#notBefore = -Infinity;
    this.tick();
  }

  /** Nothing goes any more until it is wanted anew. */
  halt(): void {
    this.#wants++;
    this.#state = 'unwanted';
  }

  acknowledged(upTo: LogPosition): void {
    // It was asked anew meanwhile, or is no answer.
    if (this.#state !== 'sent' || upTo !== this.#sentUpTo) return;
    this.#has = upTo;
    this.#state = 'resting';
    this.tick();
  }

  /** Some times a second. */
  tick(): void {
    const { now, head } = this.#ports;
    if (this.#state === 'resting' && now() >= this.#notBefore && head() > this.#readUpTo) void this.#read();
  }

  async #read(): Promise<void> {
    const turn = this.#wants;
    this.#state = 'reading';
    while (this.#ports.head() > this.#readUpTo) {
      const head = this.#ports.head();
      const read = await this.#ports.read(this.#readUpTo).catch(unreadable);
      if (turn !== this.#wants) return;
      if (typeof read === 'string') return this.#withhold(read);
      this.#readUpTo = Math.max(this.#readUpTo, read.next - 1);
      if (read.rows.count > 0 || read.lost.length > 0) return this.#send(read, head);
    }
    this.#state = 'resting';
    this.#notBefore = this.#ports.now() + GATHER_MS;
  }

  #send({ rows, lost }: LogRead, head: LogPosition): void {
    const { now, send } = this.#ports;
    const { bytesPerSecond } = this.#options;
    const to = this.#readUpTo;
    const chunk = encodeChunk({ from: this.#has, to, head: Math.max(head, to), lost, rows });
    if (chunk.length > this.#maxBytes)
      return this.#withhold(
        `a message behind position ${this.#has} of its log takes ${chunk.length} bytes, and the standby takes ${this.#maxBytes}: raise mqtt.packetMaxBytes there`,
      );
    this.#state = 'sent';
    this.#sentUpTo = to;
    for (const frame of encodeParts(chunk)) send(frame);
    const paceMs = bytesPerSecond === 0 ? 0 : (1000 * chunk.length) / bytesPerSecond;
    this.#notBefore = now() + Math.max(paceMs, head > to ? 0 : GATHER_MS);
  }
  #withhold(reason: string): void {
    this.halt();
    this.#ports.send(encodeWithheld(reason));
  }
}

const unreadable = (error: unknown): string => `its log cannot be read: ${String(error)}`;
