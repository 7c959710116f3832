/**
 * One MQTT connection of the load generator: a raw socket, a scanner that cuts frames by their fixed header, replies
 * gathered into one write per read.
 *
 * The read path allocates nothing: all connections of a thread read into one arena. What is left of an incomplete frame
 * is kept per connection and laid directly in front of the next bytes, so there is one scanner and no state machine.
 */
import { connect, type Socket } from 'node:net';
import { PacketType } from '../../lib/protocol/packet.js';
import { connectFrame, subscribeFrame } from './frames.js';
import type { BenchVersion } from './load-job.js';

/** Room for the part of a frame that a read left over; no frame that a subscriber reads here is larger. */
const HEAD_BYTES = 64 * 1024;
/** One read of at most this size: fewer system calls than with libuv's 64 KiB, small enough for the L2 cache. */
const READ_BYTES = 256 * 1024;
const OUT_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);

const arena = Buffer.allocUnsafeSlow(HEAD_BYTES + READ_BYTES);
const arenaReads = arena.subarray(HEAD_BYTES);

/**
 * Below this many frames per read a turn of the event loop was a trickle: the server writes frame by frame, and each
 * write costs it a wake-up of this process.
 */
const TRICKLE_FRAMES = 8;
/** Shorter than any window of the closed loops lasts at the rates that can be reached, so it starves nobody. */
const TRICKLE_PAUSE_MS = 0.25;

const turn = { isYielding: false, isScheduled: false, reads: 0, frames: 0 };
const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/**
 * From now on, for the whole thread: after a turn that brought a trickle, pause, so that frames gather in the sockets.
 * It takes CPU from the generator and wake-ups from the server: mosquitto, which writes each frame by itself, gains up
 * to 1.8 times in QoS 0, servers that write batches see no pause at all. Not for latency measurements.
 */
export function yieldToTrickles(): void {
  turn.isYielding = true;
}

function endTurn(): void {
  const isTrickle = turn.frames < turn.reads * TRICKLE_FRAMES;
  turn.isScheduled = false;
  turn.reads = 0;
  turn.frames = 0;
  if (isTrickle) Atomics.wait(sleepCell, 0, 0, TRICKLE_PAUSE_MS);
}

export interface ClientOptions {
  readonly port: number;
  readonly version: BenchVersion;
  readonly clientId: string;
  /** Its session outlives the connection. */
  readonly stays?: boolean;
  /** Called once with the first thing that is wrong; the run must not be counted then. */
  readonly fail: (reason: string) => void;
}

export class LoadClient {
  protected readonly view = new DataView(arena.buffer, arena.byteOffset, arena.byteLength);
  /** The same bytes as `view`, for what compares or copies. */
  protected readonly bytes: Uint8Array = arena;
  protected readonly version: BenchVersion;
  /** Receive Maximum of the server [MQTT 5, 3.2.2.3.3]. */
  receiveMaximum = 65_535;
  private readonly socket: Socket;
  private readonly options: ClientOptions;
  private leftOver: Uint8Array = NOTHING;
  /** Allocated with the first reply: thousands of idle connections need none. */
  private out = Buffer.alloc(0);
  private outLength = 0;
  private closing = false;
  private waiting: { readonly type: number; readonly resolve: () => void } | undefined;

  constructor(options: ClientOptions) {
    this.options = options;
    this.version = options.version;
    this.socket = connect({
      port: options.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: arenaReads, callback: (count: number) => this.read(count) },
    });
    this.socket.on('error', (error) => this.ended(error.message));
    this.socket.on('close', () => this.ended('closed by the server'));
  }

  /** Resolves with the CONNACK. */
  async open(): Promise<void> {
    await this.request(
      PacketType.connack,
      connectFrame(this.version, this.options.clientId, this.options.stays),
    );
  }

  /** Resolves with the SUBACK; a refused or lowered QoS fails the run. */
  async subscribe(filter: string, qos: number): Promise<void> {
    this.grantedQoS = qos;
    await this.request(PacketType.suback, subscribeFrame(this.version, filter, qos));
  }
  private grantedQoS = 0;

  get localPort(): number {
    return this.socket.localPort ?? 0;
  }
  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  /** Reads nothing more: the kernel's buffers fill and the server sees a closed window. */
  stopReading(): void {
    this.socket.pause();
  }

  close(): void {
    this.closing = true;
    this.socket.destroy();
  }

  /** Hands `bytes` to the socket; they must stay as they are until `done`. */
  write(bytes: Uint8Array, done?: () => void): void {
    this.socket.write(bytes, done);
  }

  protected fail(reason: string): void {
    if (!this.closing) this.options.fail(`${this.options.clientId}: ${reason}`);
  }

  /** One PUBLISH between `body` (first byte after the fixed header) and `end`, in `view`. */
  protected onPublish(_first: number, _body: number, _end: number): void {
    this.fail('PUBLISH to a client that has not subscribed');
  }
  /** PUBACK, PUBREC, PUBREL or PUBCOMP that reported success. */
  protected onAck(type: number, _packetId: number): void {
    this.fail(`unexpected packet of type ${type}`);
  }
  /** Before the frames of one read. */
  protected beforeRead(): void {}
  /** After the frames of one read: replies have been gathered, more can be added before they are written. */
  protected afterRead(): void {}

  /** A four-byte acknowledgement, written with the next `flush`. */
  protected putAck(firstByte: number, packetId: number): void {
    const at = this.reserve(4);
    this.out[at] = firstByte;
    this.out[at + 1] = 2;
    this.out[at + 2] = packetId >> 8;
    this.out[at + 3] = packetId & 0xff;
  }

  /** Copies a frame behind what is gathered and returns the buffer's offset of it, for patching through `patch`. */
  protected putFrame(bytes: Uint8Array): number {
    const at = this.reserve(bytes.length);
    this.out.set(bytes, at);
    return at;
  }
  protected patch16(at: number, value: number): void {
    this.out[at] = value >> 8;
    this.out[at + 1] = value & 0xff;
  }
  protected patch32(at: number, value: number): void {
    this.patch16(at, value >>> 16);
    this.patch16(at + 2, value & 0xffff);
  }
  protected patchDouble(at: number, value: number): void {
    this.out.writeDoubleBE(value, at);
  }

  protected flush(): void {
    if (this.outLength === 0) return;
    this.socket.write(this.out.subarray(0, this.outLength));
    this.outLength = 0;
    // The kernel usually takes all of it at once and the buffer is free again.
    if (this.socket.writableLength > 0) this.out = Buffer.allocUnsafeSlow(OUT_BYTES);
  }

  private reserve(count: number): number {
    if (this.outLength + count > this.out.length) {
      this.flush();
      if (this.out.length === 0) this.out = Buffer.allocUnsafeSlow(OUT_BYTES);
    }
    const at = this.outLength;
    this.outLength += count;
    return at;
  }

  private request(answer: number, frame: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.waiting = { type: answer, resolve };
      this.socket.write(frame);
    });
  }

  private ended(reason: string): void {
    this.fail(reason);
    this.closing = true;
  }

  private read(count: number): boolean {
    this.beforeRead();
    const start = HEAD_BYTES - this.leftOver.length;
    const end = HEAD_BYTES + count;
    if (this.leftOver.length > 0) arena.set(this.leftOver, start);
    const rest = this.scan(start, end);
    if (end - rest > HEAD_BYTES) {
      this.fail('a frame larger than any that was published');
      this.close();
      return false;
    }
    this.leftOver = rest === end ? NOTHING : Uint8Array.prototype.slice.call(arena, rest, end);
    this.afterRead();
    this.flush();
    if (turn.isYielding) {
      turn.reads++;
      if (!turn.isScheduled) setImmediate(endTurn);
      turn.isScheduled = true;
    }
    return true;
  }

  /** Handles every complete frame in [position, end) and returns where the first incomplete one starts. */
  private scan(position: number, end: number): number {
    const view = this.view;
    while (position + 2 <= end) {
      const first = view.getUint8(position);
      let body = position + 2;
      let length = view.getUint8(position + 1);
      if (length > 0x7f) {
        length &= 0x7f;
        for (let shift = 7; ; shift += 7) {
          if (body === end || shift > 21) return this.incompleteLength(position, shift);
          const byte = view.getUint8(body++);
          length |= (byte & 0x7f) << shift;
          if (byte < 0x80) break;
        }
      }
      const next = body + length;
      if (next > end) return position;
      turn.frames++;
      if (first >> 4 === PacketType.publish) this.onPublish(first, body, next);
      else this.control(first, body, next);
      position = next;
    }
    return position;
  }

  private incompleteLength(position: number, shift: number): number {
    if (shift > 21) this.fail('malformed remaining length');
    return position;
  }

  private control(first: number, body: number, end: number): void {
    const type = first >> 4;
    switch (type) {
      case PacketType.puback:
      case PacketType.pubrec:
      case PacketType.pubrel:
      case PacketType.pubcomp: {
        const reason = end - body > 2 ? this.view.getUint8(body + 2) : 0;
        if (reason !== 0) this.fail(`packet of type ${type} with reason code ${reason}`);
        this.onAck(type, this.view.getUint16(body));
        return;
      }
      case PacketType.connack:
        if (this.view.getUint8(body + 1) !== 0)
          this.fail(`CONNACK with code ${this.view.getUint8(body + 1)}`);
        if (this.version === 5) this.readReceiveMaximum(body + 2, end);
        break;
      case PacketType.suback:
        if (this.view.getUint8(end - 1) !== this.grantedQoS)
          this.fail(`SUBACK with code ${this.view.getUint8(end - 1)}`);
        break;
      default:
        this.fail(`unexpected packet of type ${type}`);
        return;
    }
    if (this.waiting?.type === type) this.waiting.resolve();
    this.waiting = undefined;
  }

  /** Walks the properties of a CONNACK up to Receive Maximum [MQTT 5, table 2-4]. */
  private readReceiveMaximum(at: number, end: number): void {
    while (this.view.getUint8(at) > 0x7f) at++;
    at++;
    while (at < end) {
      const id = this.view.getUint8(at++);
      switch (id) {
        case 0x21:
          this.receiveMaximum = this.view.getUint16(at);
          return;
        case 0x24: // Maximum QoS
        case 0x25: // Retain Available
        case 0x28: // Wildcard Subscription Available
        case 0x29: // Subscription Identifiers Available
        case 0x2a: // Shared Subscription Available
          at += 1;
          break;
        case 0x13: // Server Keep Alive
        case 0x22: // Topic Alias Maximum
          at += 2;
          break;
        case 0x11: // Session Expiry Interval
        case 0x27: // Maximum Packet Size
          at += 4;
          break;
        case 0x26: // User Property: two strings
          at += 2 + this.view.getUint16(at);
          at += 2 + this.view.getUint16(at);
          break;
        default: // Strings and binary data
          at += 2 + this.view.getUint16(at);
      }
    }
  }
}
