import type { MessageSource } from '../contracts/streams.js';
import type { QoS } from '../protocol/packet.js';

/** `expiresAt` of a message without Message Expiry Interval. */
export const NEVER = Infinity;
/** The longest Message Expiry Interval of MQTT. */
export const EXPIRY_MAX_S = 2 ** 32 - 1;

const NO_BYTES = new Uint8Array(0);
const OBJECT_WEIGHT = 160;
/**
 * What a retained message takes beside its weight: objects, places in two indexes, strings of topic levels; in a mesh its version, too. Measured
 * (`test/bench/probes/memory.ts`) with topics of five levels: 520 bytes in the store alone, 780 with the index of a mesh, 630 in a gateway without one after a restart.
 */
export const RETAINED_WEIGHT = 650;
/** Of a buffer, beyond what a message needs of it, that a copy would cost more than. */
const EXCESS_MAX_BYTES = 1024;

/**
 * One published message on its way through the gateway. It is shared by everybody who will receive it and never changes,
 * except that `detach` moves its bytes out of the read buffer of its publisher, and `settle` lets go of what can be made again.
 * Before it is published `expireBy` may make it go earlier.
 */
export class Message {
  /** Where the log has it; 0: nowhere. Set when it is appended. */
  position = 0;
  /** The gateway that took it in, where that is another one. */
  source: MessageSource | undefined = undefined;
  /** Its position in the log of `source`. */
  sequence = 0;
  /** Of one with retain, in a mesh: see RetainedVersion. 0: none. */
  retainedCounter = 0;
  /** The bridge of another broker published it: to bridges at other gateways of the mesh it does not go, or it might go round for ever. */
  fromBridge = false;
  /** A retained one that a third gateway told of before the stream of `source` brought it: subscribers get it when it comes there, behind what is owed to them first. */
  aheadOfStream = false;
  /** A retained one of another gateway that may have been removed long ago, and nobody knows any more: subscribers get it, and whether it stands a comparison tells. */
  mayBeRemoved = false;
  /** What the message counts where it waits, in bytes: payload, properties, topic and a constant for the object. */
  readonly weight: number;
  /** Of `topicBytes`. */
  readonly topicLength: number;
  /** undefined: made of the topic when it is asked for. */
  #topicBytes: Uint8Array | undefined;
  /** Its bytes are in a buffer of their own. */
  #isDetached = false;

  constructor(
    public topic: string,
    topicBytes: Uint8Array,
    /** Holds payload and properties; may be the read buffer of a socket. */
    public bytes: Uint8Array,
    public payloadStart: number,
    public payloadEnd: number,
    /**
     * MQTT 5 properties to forward, encoded, without length prefix and without Topic Alias, Message Expiry Interval and
     * Subscription Identifiers, in the publisher's order [MQTT-3.3.2-17]. Empty: none.
     */
    public properties: Uint8Array,
    readonly qos: QoS,
    readonly retain: boolean,
    /** On the monotonic clock, milliseconds; NEVER without an expiry. */
    public expiresAt: number,
    /** Client id of the publisher; empty for the gateway's own. */
    readonly publisher: string,
  ) {
    this.#topicBytes = topicBytes;
    this.topicLength = topicBytes.length;
    this.weight = payloadEnd - payloadStart + properties.length + topicBytes.length + OBJECT_WEIGHT;
  }

  /** The topic as PUBLISH carries it: two length bytes, then UTF-8. Shared with the route. */
  get topicBytes(): Uint8Array {
    return this.#topicBytes ?? encodeTopic(this.topic, this.topicLength);
  }

  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart;
  }

  /** Nobody gets it from then on, on the monotonic clock, if it does not expire before. */
  expireBy(at: number): void {
    if (at < this.expiresAt) this.expiresAt = at;
  }

  /** What is left of its life as Message Expiry Interval says it; 0: it has no end. */
  expiryS(clock: { now(): number }): number {
    if (this.expiresAt === NEVER) return 0;
    // What has expired is asked only when it is sent again, and a delivery that has begun is finished. After a crash the clock may be
    // behind the one that the message came by.
    return Math.min(EXPIRY_MAX_S, Math.max(1, Math.ceil((this.expiresAt - clock.now()) / 1000)));
  }

  /**
   * Copies the payload out of the buffer it was read into, so that a waiting message does not hold up to 64 KiB of its
   * neighbours in memory.
   */
  detach(): void {
    // Not asked for twice: to show its buffer, V8 moves a small array out of its heap, where it takes several times as much.
    if (this.#isDetached) return;
    this.#isDetached = true;
    // The whole buffer counts: a WebSocket frame or a run is a view of a larger read.
    const { bytes, properties } = this;
    const excess = Math.max(
      bytes.buffer.byteLength - this.payloadLength,
      // Of a message without them they are one empty array for all.
      properties.buffer === bytes.buffer ? 0 : properties.buffer.byteLength - properties.byteLength,
    );
    if (excess >= EXCESS_MAX_BYTES) this.copyBytes();
  }

  /** It stays, for days perhaps, and is seldom sent: what can be made again is not held. An array takes 176 bytes more than is in it. */
  settle(): void {
    this.detach();
    this.#topicBytes = undefined;
  }

  /** Two strings of the same topic become one. */
  shareTopic(other: Message): void {
    this.topic = other.topic;
  }

  /** The same message of the same source and version, which is nowhere in the log yet, and not ahead of its stream. */
  copy(): Message {
    const { bytes, payloadStart, payloadEnd, properties } = this;
    const { topic, topicBytes, qos, retain, expiresAt, publisher } = this;
    const copy = new Message(
      ...([topic, topicBytes, bytes, payloadStart, payloadEnd, properties] as const),
      ...([qos, retain, expiresAt, publisher] as const),
    );
    copy.source = this.source;
    copy.sequence = this.sequence;
    copy.retainedCounter = this.retainedCounter;
    copy.fromBridge = this.fromBridge;
    return copy;
  }

  /** Makes the bytes the message's own, whatever becomes of the buffer that they were in. */
  copyBytes(): void {
    this.#isDetached = true;
    const length = this.payloadLength;
    this.bytes =
      length === 0
        ? NO_BYTES
        : Uint8Array.prototype.slice.call(this.bytes, this.payloadStart, this.payloadEnd);
    this.payloadStart = 0;
    this.payloadEnd = length;
    if (this.properties.byteLength !== this.properties.buffer.byteLength) {
      this.properties = Uint8Array.prototype.slice.call(this.properties);
    }
  }
}

/** What a retained message takes in memory, about. */
export function retainedBytes(message: Message): number {
  return message.weight + RETAINED_WEIGHT;
}

function encodeTopic(topic: string, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt16BE(length - 2, 0);
  bytes.write(topic, 2, 'utf8');
  return bytes;
}

export interface MessageFields {
  topic: string;
  topicBytes: Uint8Array;
  payload: Uint8Array;
  properties?: Uint8Array;
  qos: QoS;
  retain: boolean;
  expiresAt?: number;
  publisher?: string;
}

/** A message that the gateway itself makes: wills, $SYS, dead letters, `broker.publish`. */
export function createMessage(fields: MessageFields): Message {
  return new Message(
    fields.topic,
    fields.topicBytes,
    fields.payload,
    0,
    fields.payload.length,
    fields.properties ?? NO_BYTES,
    fields.qos,
    fields.retain,
    fields.expiresAt ?? NEVER,
    fields.publisher ?? '',
  );
}
