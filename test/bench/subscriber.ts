/**
 * The receiving side of the load generator: counts every delivery, checks that it is one that was published, and
 * acknowledges it.
 */
import { PacketType } from '../../lib/protocol/packet.js';
import { GREETING_MAGIC, PAYLOAD_MAGIC, SEQUENCE_AT, STAMP_AT, payloadPattern } from './frames.js';
import { LoadClient, type ClientOptions } from './load-client.js';
import { microseconds } from './monotonic.js';

/** Every delivery has its header, lengths, magic and sequence checked; one in this many is compared byte by byte. */
const FULL_CHECK_EVERY = 256;

/** Of the fixed header: sent before. A greeting may be, in a session that a server has taken up again after a crash. */
const DUP = 0x08;

export interface SubscriberOptions extends ClientOptions {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly payloadBytes: number;
  /** Collects the latency of each delivery, in microseconds. */
  readonly latencies?: LatencySamples;
}

/**
 * Latencies, in microseconds, of the messages that were sent in a window, whenever they come: the slowest of them come behind its end. What
 * exceeds the capacity fails the run.
 */
export class LatencySamples {
  /** Ends of the window (`microseconds`). At first it is never. */
  fromUs = Infinity;
  untilUs = Infinity;
  count = 0;
  private readonly values: Float64Array;
  constructor(capacity: number) {
    this.values = new Float64Array(capacity);
  }
  add(sentUs: number, readUs: number): void {
    if (sentUs < this.fromUs || sentUs >= this.untilUs) return;
    if (this.count === this.values.length) throw new RangeError('more deliveries than were published');
    this.values[this.count++] = readUs - sentUs;
  }
  sorted(): Float64Array {
    return this.values.subarray(0, this.count).sort();
  }
}

export class Subscriber extends LoadClient {
  /** Deliveries so far. */
  received = 0;
  /** The sequence that comes next: one more than the last delivery's. */
  expected = 0;
  /** That have come; from the first one on what is published arrives. */
  greetings = 0;
  /** Messages that were skipped; always 0 for QoS 1 and 2, where a gap fails the run. */
  missed = 0;
  /** After each read that brought deliveries. */
  onProgress: () => void = () => {};
  readonly topicName: string;
  private readonly topic: Buffer;
  private readonly qos: 0 | 1 | 2;
  private readonly payloadBytes: number;
  private readonly latencies: LatencySamples | undefined;
  private readAtUs = 0;
  /** QoS 2: packet ids received and not yet released [MQTT-4.3.3-2]. */
  private readonly unreleased = new Uint8Array(65_536);

  constructor(options: SubscriberOptions) {
    super(options);
    this.topicName = options.topic;
    this.topic = Buffer.from(options.topic, 'utf8');
    this.qos = options.qos;
    this.payloadBytes = options.payloadBytes;
    this.latencies = options.latencies;
  }

  async start(): Promise<void> {
    await this.open();
    await this.subscribe(this.topicName, this.qos);
  }

  protected override beforeRead(): void {
    if (this.latencies !== undefined) this.readAtUs = microseconds();
  }
  protected override afterRead(): void {
    this.onProgress();
  }

  protected override onPublish(first: number, body: number, end: number): void {
    const view = this.view;
    if ((first & ~DUP) !== (0x30 | (this.qos << 1)))
      return this.fail(`PUBLISH with first byte 0x${first.toString(16)}`);
    let at = body + 2 + this.topic.length;
    if (view.getUint16(body) !== this.topic.length) return this.fail('delivery of another topic');
    let packetId = 0;
    if (this.qos > 0) {
      packetId = view.getUint16(at);
      at += 2;
    }
    if (this.version === 5) {
      const propertiesLength = view.getUint8(at);
      if (propertiesLength > 0) return this.fail('delivery with properties that nobody sent');
      at += 1;
    }
    if (end - at === this.payloadBytes && view.getUint32(at) === GREETING_MAGIC) {
      this.greetings++;
      if (this.qos > 0) this.acknowledge(packetId);
      return;
    }
    if ((first & DUP) !== 0) return this.fail('message sent again (DUP) on a connection that never broke');
    if (end - at !== this.payloadBytes || view.getUint32(at) !== PAYLOAD_MAGIC) {
      return this.fail('delivery with another payload than was published');
    }
    this.received++;
    if (this.received % FULL_CHECK_EVERY === 1) this.compare(body + 2, at, end);
    const sequence = view.getUint32(at + SEQUENCE_AT);
    if (sequence !== this.expected) this.outOfSequence(sequence);
    this.expected = sequence + 1;
    this.latencies?.add(view.getFloat64(at + STAMP_AT), this.readAtUs);
    if (this.qos > 0) this.acknowledge(packetId);
  }

  protected override onAck(type: number, packetId: number): void {
    if (type !== PacketType.pubrel || this.qos !== 2)
      return this.fail(`subscriber got packet of type ${type}`);
    if (this.unreleased[packetId] !== 1)
      return this.fail(`PUBREL for packet id ${packetId}, which is not open`);
    this.unreleased[packetId] = 0;
    this.putAck(0x70, packetId);
  }

  private acknowledge(packetId: number): void {
    if (packetId === 0) return this.fail('PUBLISH with packet id 0');
    if (this.qos === 1) return this.putAck(0x40, packetId);
    if (this.unreleased[packetId] === 1)
      return this.fail(`packet id ${packetId} used again before its PUBREL`);
    this.unreleased[packetId] = 1;
    this.putAck(0x50, packetId);
  }

  private outOfSequence(sequence: number): void {
    if (sequence < this.expected) {
      return this.fail(`message ${sequence} came again or late: ${this.expected} was next`);
    }
    this.missed += sequence - this.expected;
    if (this.qos > 0) this.fail(`messages ${this.expected} to ${sequence - 1} were left out`);
  }

  private compare(topicAt: number, payloadAt: number, end: number): void {
    for (let i = 0; i < this.topic.length; i++) {
      if (this.bytes[topicAt + i] !== this.topic[i]) return this.fail('delivery of another topic');
    }
    for (let at = payloadAt + STAMP_AT + 8; at < end; at++) {
      if (this.bytes[at] !== payloadPattern(at - payloadAt)) return this.fail('payload changed on its way');
    }
  }
}
