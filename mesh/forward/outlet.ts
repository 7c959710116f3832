/** Where the lanes of one sender come together: the link, what may be on its way, and how frames are made. */
import type { Lineage } from '../../lib/contracts/epoch.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { ByteWriter } from '../wire/bytes.js';
import {
  type CoverHeader,
  encodeBegin,
  HEADER_MAX_BYTES,
  type ReceiverGreeting,
  sendFrame,
  type WireEpoch,
  wireEpochOf,
  writeCoverHeader,
  writeExpressHeader,
} from './frames.js';
import { BATCH_MAX_BYTES } from './limits.js';
import { encodedMaxBytes, MessageEncoder } from './message-codec.js';
import { SendWindow } from './send-window.js';

interface EpochSpan extends WireEpoch {
  readonly after: LogPosition;
}

/** What becomes of a message that is not sent: see `SenderStatus.refused`. */
export interface RefusedCounts {
  expired: number;
  tooLarge: number;
  passingDown: number;
}

export interface OutletPorts {
  send(frame: Uint8Array): boolean;
  now(): number;
}

export class Outlet {
  readonly window: SendWindow;
  readonly refused: RefusedCounts = { expired: 0, tooLarge: 0, passingDown: 0 };
  readonly #ports: OutletPorts;
  readonly #epochs: readonly EpochSpan[];
  readonly #writer = new ByteWriter(4096);
  readonly #encoder = new MessageEncoder(this.#writer);
  readonly #batchMaxBytes: number;
  readonly #send: (frame: Uint8Array) => boolean;
  #isUp = false;
  #isWritable = false;
  #wholeMaxBytes = 0;
  sentMessages = 0;
  #batchMessages = 0;

  constructor(ports: OutletPorts, lineage: Lineage, bytesPerSecond: number, batchMaxBytes = BATCH_MAX_BYTES) {
    this.#ports = ports;
    this.#send = (frame) => ports.send(frame);
    this.#epochs = lineage.map((start) => ({ ...wireEpochOf(start), after: start.after }));
    this.#batchMaxBytes = batchMaxBytes;
    this.window = new SendWindow(bytesPerSecond, ports.now());
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Whether the link takes more at the moment. */
  get isWritable(): boolean {
    return this.#isWritable;
  }

  get now(): number {
    return this.#ports.now();
  }

  open({ creditBytes, wholeMaxBytes }: ReceiverGreeting): void {
    this.#isUp = true;
    this.#isWritable = true;
    this.#wholeMaxBytes = wholeMaxBytes;
    this.window.open(creditBytes, this.now);
  }

  close(): void {
    this.#isUp = false;
    this.#isWritable = false;
  }

  drained(): void {
    this.#isWritable = this.#isUp;
  }

  /** @param rolledBackTo undefined: the log is what it was */
  begin(from: LogPosition, rolledBackTo: LogPosition | undefined): void {
    const last = this.#epochs.at(-1);
    if (last === undefined) throw new RangeError('a lineage without an epoch');
    this.#isWritable = this.#send(
      encodeBegin(this.#writer, last, from, rolledBackTo === undefined ? 0 : rolledBackTo + 1),
    );
  }

  epochOf(position: LogPosition): WireEpoch {
    for (let i = this.#epochs.length - 1; i > 0; i--) {
      const epoch = this.#epochs[i];
      if (epoch !== undefined && epoch.after < position) return epoch;
    }
    const oldest = this.#epochs[0];
    if (oldest === undefined) throw new RangeError('a lineage without an epoch');
    return oldest;
  }

  /** Bytes of messages that a batch may have now, besides its header; negative: none may be sent. */
  budget(isBacklog: boolean): number {
    if (!this.#isWritable) return -1;
    const most = isBacklog
      ? Math.min(this.#batchMaxBytes, this.window.backlogBatchBytes)
      : this.#batchMaxBytes;
    return Math.min(most, this.window.room(isBacklog, this.now)) - HEADER_MAX_BYTES;
  }

  get mayOverdraw(): boolean {
    return this.#isWritable && this.window.mayOverdraw(this.now);
  }

  /** Whether a message that is larger than a batch may go: there is room for it, or nothing else is on its way. */
  mayGoAlone(bytes: number, isBacklog: boolean): boolean {
    return this.mayOverdraw || bytes + HEADER_MAX_BYTES <= this.window.room(isBacklog, this.now);
  }

  /** Whether the message cannot be sent at all, as things are; it is counted when it is passed over. */
  isRefused(message: Message, now: number): boolean {
    return message.expiresAt <= now || this.#isTooLarge(message);
  }

  countRefused(message: Message): void {
    if (this.#isTooLarge(message)) this.refused.tooLarge++;
    else this.refused.expired++;
  }

  cover(header: CoverHeader): void {
    writeCoverHeader(this.#writer, header);
    this.#encoder.begin();
  }

  express(epoch: WireEpoch, number: number, from: LogPosition): void {
    writeExpressHeader(this.#writer, epoch, number, from);
    this.#encoder.begin();
  }

  message(message: Message, step: number, now: number): void {
    this.#encoder.write(message, step, now);
    this.sentMessages++;
    this.#batchMessages++;
  }

  /** Sends the batch that was written. */
  finish(isBacklog: boolean): void {
    const frame = this.#writer.finish();
    this.window.sent(frame.length, this.now, this.#batchMessages, isBacklog);
    this.#batchMessages = 0;
    this.#isWritable = sendFrame(frame, this.#send);
  }

  #isTooLarge(message: Message): boolean {
    return encodedMaxBytes(message) + HEADER_MAX_BYTES > this.#wholeMaxBytes;
  }
}
