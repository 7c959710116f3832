/**
 * Worker thread that publishes evenly spaced messages, whatever the broker does with them.
 *
 * A libuv timer fires on whole milliseconds, which would send 3,000 messages a second in bursts of three. Here the
 * thread sleeps in `Atomics.wait`, which the kernel ends within tens of microseconds, and turns its event loop once per
 * message to read acknowledgements. The receiving thread is never disturbed by it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { PacketType } from '../../lib/protocol/packet.js';
import { SEQUENCE_AT, STAMP_AT, publishTemplate, type PublishTemplate } from './frames.js';
import { LoadClient, type ClientOptions } from './load-client.js';
import { LOST_AFTER_MS, type BenchVersion } from './load-job.js';
import { microseconds } from './monotonic.js';
import { percentile } from './statistics.js';

export interface PacedOptions {
  readonly port: number;
  readonly version: BenchVersion;
  readonly topic: string;
  readonly qos: 0 | 1;
  readonly payloadBytes: number;
  readonly ratePerSecond: number;
  readonly batch?: number;
  /** Before it acknowledgements are not counted. */
  readonly warmUpMs: number;
  /** One Int32: messages published so far. */
  readonly published: SharedArrayBuffer;
  /** After the last message: how long acknowledgements may take. Default: `LOST_AFTER_MS`. */
  readonly acksWithinMs?: number;
}

/** From the worker. */
export type PacedReport =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly reason: string }
  /** `acknowledged` of QoS 1. */
  | {
      readonly type: 'stopped';
      readonly acknowledged: number;
      readonly latenessP99Us: number;
      readonly ackP99Us: number;
    };
/** To the worker. */
export type PacedOrder = 'start' | 'stop';

/** Sleeping for less than this costs more than turning the event loop once more. */
const SLEEP_MIN_US = 80;

class PacedPublisher extends LoadClient {
  acknowledged = 0;
  readonly latenessUs: number[] = [];
  countFromUs = Infinity;
  /** From the write of each message to its acknowledgement. */
  readonly ackUs: number[] = [];
  private readonly sentUs = new Float64Array(65_536);
  private readonly template: PublishTemplate;
  private readonly qos: 0 | 1;
  private readonly awaited = new Uint8Array(65_536);

  constructor(options: ClientOptions & PacedOptions) {
    super(options);
    this.qos = options.qos;
    this.template = publishTemplate(options.version, options.topic, options.qos, options.payloadBytes);
  }

  /** Sends `count` messages from `sequence` on, which were due at `dueUs`, in one write. */
  send(sequence: number, count: number, dueUs: number): void {
    for (let i = 0; i < count; i++) this.put(sequence + i, dueUs);
    this.flush();
  }

  private put(sequence: number, dueUs: number): void {
    const at = this.putFrame(this.template.bytes);
    if (this.qos === 1) {
      const id = (sequence % 65_535) + 1;
      if (this.awaited[id] === 1) return this.fail(`packet id ${id} was never acknowledged`);
      this.awaited[id] = 1;
      this.patch16(at + this.template.packetIdAt, id);
    }
    const nowUs = microseconds();
    this.patch32(at + this.template.payloadAt + SEQUENCE_AT, sequence);
    this.patchDouble(at + this.template.payloadAt + STAMP_AT, nowUs);
    if (this.qos === 1) this.sentUs[(sequence % 65_535) + 1] = nowUs;
    this.latenessUs.push(nowUs - dueUs);
  }

  protected override onAck(type: number, packetId: number): void {
    if (type !== PacketType.puback || this.awaited[packetId] !== 1) {
      return this.fail(`publisher got packet of type ${type} for id ${packetId}, which is not open`);
    }
    this.awaited[packetId] = 0;
    const sentUs = this.sentUs[packetId] as number;
    if (sentUs >= this.countFromUs) this.ackUs.push(microseconds() - sentUs);
    this.acknowledged++;
  }
}

function parseWorkerData(data: unknown): PacedOptions {
  return data as PacedOptions;
}

function report(message: PacedReport): void {
  parentPort?.postMessage(message);
}

async function main(): Promise<void> {
  const options = parseWorkerData(workerData);
  const fail = (reason: string): void => report({ type: 'failed', reason });
  const publisher = new PacedPublisher({ ...options, clientId: 'bench-pub', fail });
  const published = new Int32Array(options.published);
  const sleepCell = new Int32Array(new SharedArrayBuffer(4));
  const intervalUs = 1e6 / options.ratePerSecond;
  const { batch = 1 } = options;
  let startedUs = 0;
  const dueAt = (sequence: number): number => startedUs + sequence * intervalUs;
  let running = false;

  const step = (): void => {
    if (!running) return;
    let sequence = Atomics.load(published, 0);
    let dueUs = dueAt(sequence);
    while (dueUs <= microseconds()) {
      publisher.send(sequence, batch, dueUs);
      sequence += batch;
      Atomics.store(published, 0, sequence);
      dueUs = dueAt(sequence);
    }
    const remainingUs = dueUs - microseconds();
    if (remainingUs > SLEEP_MIN_US) Atomics.wait(sleepCell, 0, 0, (remainingUs - SLEEP_MIN_US / 2) / 1000);
    setImmediate(step);
  };
  const stop = (): void => {
    running = false;
    const all = Atomics.load(published, 0);
    const deadlineUs = microseconds() + (options.acksWithinMs ?? LOST_AFTER_MS) * 1000;
    const poll = setInterval(() => {
      const isDone = options.qos === 0 || publisher.acknowledged === all;
      if (!isDone && microseconds() < deadlineUs) return;
      clearInterval(poll);
      publisher.close();
      const latenessP99Us = all === 0 ? 0 : percentile(publisher.latenessUs, 99);
      const ackP99Us = publisher.ackUs.length === 0 ? 0 : percentile(publisher.ackUs, 99);
      report({ type: 'stopped', acknowledged: publisher.acknowledged, latenessP99Us, ackP99Us });
      parentPort?.close();
    }, 5);
  };
  parentPort?.on('message', (order: PacedOrder) => {
    if (order === 'stop') return stop();
    running = true;
    startedUs = microseconds();
    publisher.countFromUs = startedUs + options.warmUpMs * 1000;
    step();
  });
  await publisher.open();
  report({ type: 'ready' });
}

void main();
