/**
 * Messages that nobody acknowledges: QoS 0, and what a peer wants with QoS 0 only. A frame of the channel `passing` is nothing but
 * messages (message-codec.ts), all of the sender's present epoch and without positions.
 */
import type { MessageSource } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { PASSING_BATCH_BYTES, PASSING_QUEUED_MAX_BYTES, TEXT_SLOTS } from './limits.js';
import { decodeMessages, encodedMaxBytes, MessageEncoder } from './message-codec.js';
import { TextCache } from './text-cache.js';

/** What a frame may have: less than FRAME_MAX_BYTES of a link. */
const FRAME_BYTES_MAX = 1_000_000;

export interface PassingPorts {
  /** On the channel `passing`. */
  send(frame: Uint8Array): void;
  /** Of the link, all channels: PeerLink.queuedBytes. */
  queuedBytes(): number;
  now(): number;
}

export interface PassingCounts {
  sent: number;
  /** The link had too much queued. */
  dropped: number;
  expired: number;
  tooLarge: number;
}

/** One for each link. */
export class PassingSender {
  readonly counts: PassingCounts = { sent: 0, dropped: 0, expired: 0, tooLarge: 0 };
  readonly #ports: PassingPorts;
  readonly #writer = new ByteWriter(4096);
  readonly #encoder = new MessageEncoder(this.#writer);
  readonly #queuedMaxBytes: number;

  constructor(ports: PassingPorts, queuedMaxBytes = PASSING_QUEUED_MAX_BYTES) {
    this.#ports = ports;
    this.#queuedMaxBytes = queuedMaxBytes;
    this.#encoder.begin();
  }

  /** Leaves with `flush` at the end of the turn, at the latest. */
  send(message: Message): void {
    const { counts } = this;
    const now = this.#ports.now();
    const bytes = encodedMaxBytes(message);
    if (message.expiresAt <= now) counts.expired++;
    else if (bytes > FRAME_BYTES_MAX) counts.tooLarge++;
    else if (this.#ports.queuedBytes() + this.#writer.length > this.#queuedMaxBytes) counts.dropped++;
    else {
      if (this.#writer.length > 0 && this.#writer.length + bytes > PASSING_BATCH_BYTES) this.flush();
      this.#encoder.write(message, 0, now, 0);
      counts.sent++;
    }
  }

  flush(): void {
    if (this.#writer.length === 0) return;
    const frame = this.#writer.finish();
    this.#encoder.begin();
    this.#ports.send(frame);
  }
}

export class PassingReceiver {
  readonly #source: MessageSource;
  readonly #deliver: (message: Message) => void;
  readonly #now: () => number;
  readonly #texts: TextCache;

  /** @param source the peer in its present epoch @param now on the clock of `expiresAt` */
  constructor(
    source: MessageSource,
    deliver: (message: Message) => void,
    now: () => number,
    texts = new TextCache(TEXT_SLOTS),
  ) {
    this.#source = source;
    this.#deliver = deliver;
    this.#now = now;
    this.#texts = texts;
  }

  /** @param frame stays the caller's @returns why the link has to be closed; undefined: all is well */
  onFrame(frame: Uint8Array): string | undefined {
    let messages: readonly Message[];
    try {
      const own = Uint8Array.prototype.slice.call(frame);
      messages = decodeMessages(own, new ByteReader(own), 0, this.#now(), this.#texts, 0);
      if (messages.some((message) => message.qos !== 0)) return 'a passing message with a QoS';
    } catch (error) {
      if (error instanceof MalformedFrame) return error.message;
      throw error;
    }
    for (const message of messages) {
      message.source = this.#source;
      message.sequence = 0;
      this.#deliver(message);
    }
    return undefined;
  }
}
