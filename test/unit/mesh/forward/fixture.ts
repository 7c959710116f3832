/** A sender and a receiver side by side: what each hands to its ports, and a log of own messages to read from. */
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import type { Lineage } from '../../../../lib/contracts/epoch.js';
import type { BackfillRecord, OwnMessages, StreamRecord } from '../../../../lib/contracts/streams.js';
import { createMessage, type Message, type MessageFields } from '../../../../lib/message/message.js';
import {
  type CoverFrame,
  decodeStreamFrame,
  encodeAck,
  type ReceiverGreeting,
} from '../../../../mesh/forward/frames.js';
import { type ReceiverOptions, StreamReceiver } from '../../../../mesh/forward/stream-receiver.js';
import { type SenderOptions, StreamSender } from '../../../../mesh/forward/stream-sender.js';
import { TextCache } from '../../../../mesh/forward/text-cache.js';
import { ByteWriter } from '../../../../mesh/wire/bytes.js';

export const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(1));
export const NONCE = '0011223344556677';
export const LINEAGE: Lineage = [{ counter: 1, nonce: NONCE, after: 0 }];

export function messageAt(position: number, topic = 'a', fields: Partial<MessageFields> = {}): Message {
  const text = Buffer.from(topic, 'utf8');
  const topicBytes = Uint8Array.of(text.length >> 8, text.length & 0xff, ...text);
  const payload = Uint8Array.of(position);
  const message = createMessage({
    topic,
    topicBytes,
    payload,
    qos: 1,
    retain: false,
    publisher: 'p',
    ...fields,
  });
  message.position = position;
  return message;
}

/** What is on the wire, for people. */
export function shown(frame: Uint8Array): string {
  const decoded = decodeStreamFrame(frame, 0, new TextCache(16));
  if (decoded.kind === 1) return `begin ${decoded.from}`;
  const messages = decoded.messages.map((message) => `${message.sequence}${message.topic}`).join(' ');
  if (decoded.kind === 3) return `express ${messages}`;
  const lost = decoded.lostTo === 0 ? '' : ` lost ${decoded.lostFrom}-${decoded.lostTo}`;
  return `${nameOf(decoded)} ${decoded.from}-${decoded.to}${lost}${decoded.done ? ' done' : ''}: ${messages}`.trim();
}

function nameOf(frame: CoverFrame): string {
  return frame.kind === 2 ? `v${frame.version}` : `backfill ${frame.version}`;
}

export class SenderBench {
  now = 1000;
  isWritable = true;
  stalls = 0;
  floor = 0;
  readonly passed: Message[] = [];
  readonly log: Message[] = [];
  /** Of the log, from one position to the other, but for these. */
  lost: { from: number; to: number; but?: readonly number[] } = { from: 0, to: 0 };
  committed = 0;
  readonly sender: StreamSender;
  frames: Uint8Array[] = [];
  #reads: (() => void)[] = [];

  constructor(options: Partial<SenderOptions> = {}) {
    this.committed = options.head ?? 0;
    this.sender = new StreamSender(
      {
        send: (frame) => {
          this.frames.push(frame);
          return this.isWritable;
        },
        now: () => this.now,
        readOwn: (from, maxBytes, done) => this.#reads.push(() => done(this.#read(from, maxBytes))),
        setFloor: (position) => (this.floor = position),
        pass: (message) => this.passed.push(message),
        stalled: () => this.stalls++,
      },
      { head: 0, lineage: LINEAGE, ...options },
    );
  }

  /** @param interest wanted topics, by first letter */
  up(
    covered: number | undefined,
    interest = 'ab',
    greeting: Partial<ReceiverGreeting> = {},
    version = 1,
  ): void {
    this.sender.linkUp(
      {
        covered,
        durable: covered ?? 0,
        floor: covered ?? 0,
        have: [],
        backfill: undefined,
        creditBytes: 10_000,
        wholeMaxBytes: 3_000_000,
        ...greeting,
      },
      { version, matcher: wants(interest) },
    );
  }

  /** A turn in which these were committed. */
  commit(...messages: Message[]): void {
    for (const message of messages) {
      this.log.push(message);
      this.committed = Math.max(this.committed, message.position);
      this.sender.committed(message);
    }
    this.sender.headMoved(this.committed);
    this.sender.flush();
  }

  /** They were committed and nobody was told, or long ago. */
  write(...messages: Message[]): void {
    for (const message of messages) {
      this.log.push(message);
      this.committed = Math.max(this.committed, message.position);
    }
  }

  /** Answers all reads, also those that come of it. */
  read(): void {
    for (let read = this.#reads.shift(); read !== undefined; read = this.#reads.shift()) read();
  }

  /** Answers the oldest. */
  readOnce(): void {
    this.#reads.shift()?.();
  }

  get waitingReads(): number {
    return this.#reads.length;
  }

  /** Everything sent since the last time. */
  taken(): string[] {
    const frames = this.frames.map(shown);
    this.frames = [];
    return frames;
  }

  ack(covered: number, creditBytes: number, floor = covered): string | undefined {
    return this.sender.onFrame(encodeAck(new ByteWriter(), { covered, floor, creditBytes, express: 0 }));
  }

  #read(from: number, maxBytes: number): OwnMessages {
    const { lost } = this;
    const isLost = lost.to >= from;
    const messages = this.log
      .filter(({ position }) => position >= from)
      .filter(
        ({ position }) => position < lost.from || position > lost.to || lost.but?.includes(position) === true,
      )
      .slice(0, Math.max(1, Math.floor(maxBytes / 100)));
    const last = this.log.at(-1)?.position ?? 0;
    const isAll = messages.at(-1)?.position === last || messages.length === 0;
    const next = (isAll ? this.committed : (messages.at(-1)?.position ?? 0)) + 1;
    const wallMs = messages.map(() => 0);
    return { messages, wallMs, next, lostFrom: isLost ? lost.from : 0, lostTo: isLost ? lost.to : 0 };
  }
}

export function wants(letters: string): (topic: string) => -1 | 0 | 1 {
  return (topic) =>
    letters.includes(topic[0] ?? '') ? 1 : letters.includes((topic[0] ?? '').toUpperCase()) ? 0 : -1;
}

export class ReceiverBench {
  now = 50_000;
  hasRoom = true;
  position = 0;
  readonly messages: Message[] = [];
  readonly records: (StreamRecord | BackfillRecord)[] = [];
  readonly holes: string[] = [];
  acks: Uint8Array[] = [];
  readonly receiver: StreamReceiver;

  constructor(options: ReceiverOptions = {}) {
    this.receiver = new StreamReceiver(
      ORIGIN,
      {
        send: (frame) => this.acks.push(frame),
        now: () => this.now,
        hasRoom: () => this.hasRoom,
        append: (message) => {
          this.messages.push(message);
          return ++this.position;
        },
        record: (record) => {
          this.records.push(record);
          return ++this.position;
        },
        reportHole: (_, from, to) => this.holes.push(`${from}-${to}`),
      },
      options,
    );
  }

  get sequences(): number[] {
    return this.messages.map(({ sequence }) => sequence);
  }

  commit(): void {
    this.receiver.committed(this.position);
  }
}
