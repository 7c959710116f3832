/**
 * PUBLISH packets towards one connection: which form a message takes there (version, Topic Alias, Subscription Identifiers),
 * whether the client takes one of that size, and its bytes into the outbox. It lives as long as the connection, because the
 * aliases do.
 */
import { BUFFER_BYTES, type Outbox } from '../connection/outbox.js';
import { publishSize, type PublishVariant, writePublish } from '../connection/publish-writer.js';
import type { Message } from '../message/message.js';
import type { SessionEnvironment, SessionLink } from '../session/environment.js';
import { count, C } from '../telemetry/counters.js';
import type { Run } from './fan-out.js';

/** First byte of PUBLISH, QoS in bits 1 and 2. */
export const PUBLISH = 0x30;
export const RETAIN = 0x01;
export const DUP = 0x08;

const SENT_COUNTERS = [C.messagesSentQoS0, C.messagesSentQoS1, C.messagesSentQoS2] as const;

/** Scratch: the writer reads it before the next message is looked at. */
const variant: PublishVariant = {
  header: 0,
  packetId: 0,
  v5: false,
  expiryS: 0,
  identifiers: undefined,
  alias: 0,
  aliasKnown: false,
};

export class Transmitter {
  readonly link: SessionLink;
  readonly #env: SessionEnvironment;
  #aliases: Map<string, number> | undefined;

  constructor(link: SessionLink, env: SessionEnvironment) {
    this.link = link;
    this.#env = env;
  }

  /** Whether the frames of a run can go to this client as they came in. */
  takesRun(run: Run): boolean {
    const { link } = this;
    return (
      (link.version === 5) === run.v5 &&
      link.topicAliasMaximum === 0 &&
      run.frameMaxBytes <= link.maximumPacketSize
    );
  }

  transmitRun(run: Run): void {
    this.link.outbox.append(run.bytes, true);
    count(this.#env.counters, C.messagesSentQoS0, run.count);
    count(this.#env.counters, C.messageBytesSent, run.bytes.length);
  }

  /**
   * @param header first byte of the packet. @param packetId 0 for QoS 0.
   * @returns false where the packet is larger than the client takes: it counts as delivered [MQTT-3.1.2-25].
   */
  transmit(
    message: Message,
    header: number,
    packetId: number,
    identifiers: readonly number[] | undefined,
  ): boolean {
    const { link } = this;
    const { frames } = this.#env.fanOut;
    const v5 = link.version === 5;
    if (identifiers === undefined && link.topicAliasMaximum === 0 && frames.serves(message)) {
      const frame = frames.frame(message, v5, packetId !== 0);
      if (frame.length > link.maximumPacketSize) return this.#tooLarge();
      appendFrame(link.outbox, frame, header, packetId, message.topicLength);
      this.#sent(header, frame.length);
      return true;
    }
    variant.header = header;
    variant.packetId = packetId;
    variant.v5 = v5;
    variant.identifiers = v5 ? identifiers : undefined;
    variant.expiryS = v5 ? message.expiryS(this.#env.clock) : 0;
    variant.alias = 0;
    variant.aliasKnown = false;
    if (v5 && link.topicAliasMaximum > 0) this.#chooseAlias(message.topic, link.topicAliasMaximum);
    let size = publishSize(message, variant);
    if (size > link.maximumPacketSize) {
      if (variant.alias > 0 && !variant.aliasKnown) this.#aliases?.delete(message.topic);
      // The alias may be what is too much.
      variant.alias = 0;
      variant.aliasKnown = false;
      size = publishSize(message, variant);
      if (size > link.maximumPacketSize) return this.#tooLarge();
    }
    writePublish(link.outbox, message, variant);
    this.#sent(header, size);
    return true;
  }

  /** The first topics of a connection get its aliases: a device that listens to few topics gains, one that listens to many loses nothing. */
  #chooseAlias(topic: string, maximum: number): void {
    const aliases = (this.#aliases ??= new Map());
    const known = aliases.get(topic);
    if (known !== undefined) {
      variant.alias = known;
      variant.aliasKnown = true;
    } else if (aliases.size < maximum) {
      variant.alias = aliases.size + 1;
      aliases.set(topic, variant.alias);
    }
  }

  #sent(header: number, bytes: number): void {
    count(this.#env.counters, SENT_COUNTERS[(header >> 1) & 3] ?? C.messagesSentQoS0);
    count(this.#env.counters, C.messageBytesSent, bytes);
  }

  #tooLarge(): false {
    count(this.#env.counters, C.droppedTooLarge);
    return false;
  }
}

/** Copies a frame that others get too, with its own first byte and packet id. */
function appendFrame(
  outbox: Outbox,
  frame: Uint8Array,
  header: number,
  packetId: number,
  topicBytes: number,
): void {
  const { length } = frame;
  // The length of the remaining length field follows from the size of the frame.
  const idOffset = topicBytes + (length <= 129 ? 2 : length <= 16386 ? 3 : length <= 2097155 ? 4 : 5);
  if (length > BUFFER_BYTES) {
    const copy = Uint8Array.prototype.slice.call(frame);
    patch(copy, 0, header, packetId, idOffset);
    outbox.append(copy, true);
    return;
  }
  const offset = outbox.reserve(length);
  outbox.buffer.set(frame, offset);
  patch(outbox.buffer, offset, header, packetId, idOffset);
  outbox.commit(length);
}

function patch(out: Uint8Array, offset: number, header: number, packetId: number, idOffset: number): void {
  out[offset] = header;
  if (packetId === 0) return;
  out[offset + idOffset] = packetId >> 8;
  out[offset + idOffset + 1] = packetId & 0xff;
}
