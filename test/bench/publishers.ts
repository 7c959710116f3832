/**
 * The sending side of the load generator for closed loops: as fast as the broker and the subscribers go, never further
 * ahead than the job allows.
 */
import { PacketType } from '../../lib/protocol/packet.js';
import { SEQUENCE_AT, publishTemplate, type PublishTemplate } from './frames.js';
import { LoadClient, type ClientOptions } from './load-client.js';

export interface PublisherOptions extends ClientOptions {
  readonly topic: string;
  readonly payloadBytes: number;
}

/** QoS 0: whole batches of prebuilt frames, whose sequence numbers are written into them before each use. */
export class FloodPublisher extends LoadClient {
  /** Messages handed to the socket so far. */
  published = 0;
  /** The first sequence that may not be sent yet, asked for when a batch is due. */
  limit: () => number = () => 0;
  running = false;
  private readonly stride: number;
  private readonly sequenceAt: number;
  private readonly batchCount: number;
  private readonly free: Batch[] = [];

  /** `creditBytes` as in the job: a batch is at most an eighth of it, so that the flow is smooth. */
  constructor(options: PublisherOptions, creditBytes: number) {
    super(options);
    const { bytes, payloadAt } = publishTemplate(options.version, options.topic, 0, options.payloadBytes);
    this.stride = bytes.length;
    this.sequenceAt = payloadAt + SEQUENCE_AT;
    this.batchCount = Math.max(1, Math.floor(Math.min(BATCH_BYTES, creditBytes / 8) / this.stride));
    const buffers = Math.ceil(creditBytes / (this.batchCount * this.stride)) + 1;
    for (let i = 0; i < buffers; i++) {
      const batch = Buffer.allocUnsafeSlow(this.batchCount * this.stride);
      for (let at = 0; at < batch.length; at += this.stride) batch.set(bytes, at);
      this.free.push({ bytes: batch, view: new DataView(batch.buffer, batch.byteOffset, batch.byteLength) });
    }
  }

  get frameBytes(): number {
    return this.stride;
  }

  /** Writes what credit and free buffers allow; called again whenever either grows. */
  pump(): void {
    while (this.running && this.published + this.batchCount <= this.limit()) {
      const batch = this.free.pop();
      if (batch === undefined) return;
      const { view } = batch;
      let sequence = this.published;
      for (let at = this.sequenceAt; at < view.byteLength; at += this.stride) view.setUint32(at, sequence++);
      this.published = sequence;
      this.write(batch.bytes, () => {
        this.free.push(batch);
        this.pump();
      });
    }
  }
}

interface Batch {
  readonly bytes: Buffer;
  readonly view: DataView;
}
/** The size from which a larger write to a loopback socket saves nothing measurable. */
const BATCH_BYTES = 64 * 1024;

/** QoS 1 and 2: at most `windowCount` messages between PUBLISH and PUBACK or PUBCOMP. */
export class WindowPublisher extends LoadClient {
  published = 0;
  acknowledged = 0;
  /** The first sequence that may not be sent yet. */
  limit: () => number = () => 0;
  running = false;
  private readonly template: PublishTemplate;
  private readonly qos: 1 | 2;
  private readonly windowCount: number;
  private nextId = 1;
  /** Per packet id: what the server has to send next. */
  private readonly awaited = new Uint8Array(65_536);

  constructor(options: PublisherOptions, qos: 1 | 2, windowCount: number) {
    super(options);
    this.qos = qos;
    this.windowCount = windowCount;
    this.template = publishTemplate(options.version, options.topic, qos, options.payloadBytes);
  }

  /** Fills the window, outside a read: at the start, and when the subscriber has caught up. */
  pump(): void {
    this.fill();
    this.flush();
  }

  protected override afterRead(): void {
    this.fill();
  }

  protected override onAck(type: number, packetId: number): void {
    const awaited = this.awaited[packetId];
    if (awaited !== type) {
      return this.fail(
        `QoS ${this.qos} publisher got packet of type ${type} for id ${packetId}, due: ${awaited}`,
      );
    }
    if (type === PacketType.pubrec) {
      this.awaited[packetId] = PacketType.pubcomp;
      this.putAck(0x62, packetId);
    } else {
      this.awaited[packetId] = 0;
      this.acknowledged++;
    }
  }

  private fill(): void {
    if (!this.running) return;
    const window = Math.min(this.windowCount, this.receiveMaximum);
    const until = Math.min(this.acknowledged + window, this.limit());
    while (this.published < until) {
      // Ids come round after 65,535 messages; a window far below that has long freed them [MQTT-2.2.1-3].
      if (this.awaited[this.nextId] !== 0)
        return this.fail(`packet id ${this.nextId} was never acknowledged`);
      this.awaited[this.nextId] = this.qos === 1 ? PacketType.puback : PacketType.pubrec;
      const at = this.putFrame(this.template.bytes);
      this.patch16(at + this.template.packetIdAt, this.nextId);
      this.patch32(at + this.template.payloadAt + SEQUENCE_AT, this.published);
      this.published++;
      this.nextId = this.nextId === 65_535 ? 1 : this.nextId + 1;
    }
  }
}
