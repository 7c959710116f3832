/**
 * One encrypted connection to another gateway, from the handshake on.
 *
 *     proving ──proof of the other──▶ introducing ──introduction──▶ proven ──one side chooses it──▶ live
 *        └───────────────┴───────────────────────────┴────────────────┴──▶ closed
 *
 * First message of both sides: the proof that it knows the swarm key, bound to this handshake. Before it nothing is read and
 * nothing else is said: who made the handshake may have replayed a member's first packet. Then the introductions, and what
 * follows are frames: u8 channel · bytes, each one message of the stream.
 */
import { gatewayIdOf, type GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import type { HandshakeSide, SwarmKey } from '../admission/swarm-key.js';
import {
  Channel,
  DATAGRAM_MAX_BYTES,
  FRAME_MAX_BYTES,
  type LinkHandlers,
  type PeerLink,
} from '../link/peer-link.js';
import { type HostPort, showAddress } from './address.js';
import {
  ByeCode,
  CONTROL_CHANNEL,
  type Control,
  DATAGRAM_CHANNEL,
  decodeControl,
  encodeControl,
  type Introduction,
} from './control.js';
import { DatagramSeal, SEAL_OVERHEAD_BYTES, SEAL_SECRET_BYTES } from './datagram-seal.js';
import type { FrameStream, RawStream } from './frame-stream.js';
import {
  CHOICE_TIMEOUT_MS,
  CLOSE_GRACE_MS,
  DATAGRAM_QUEUE_MAX_BYTES,
  PROOF_TIMEOUT_MS,
  QUEUE_HIGH_WATER_BYTES,
  QUEUE_LOW_WATER_BYTES,
  QUEUE_MAX_BYTES,
  RTT_EVERY_TICKS,
  SILENT_MAX_TICKS,
  STALLED_MAX_TICKS,
} from './limits.js';
import { Reason, reasonOf } from './reasons.js';

export type ConnectionPath = 'tcp' | 'udx';
export type ConnectionState = 'proving' | 'introducing' | 'proven' | 'live' | 'closed';

/** What all connections of a transport share. */
export interface ConnectionPorts {
  readonly swarmKey: SwarmKey;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly randomBytes: (size: number) => Uint8Array;
  introduce(): Omit<Introduction, 'datagramSecret'>;
  isRefused(id: GatewayId): boolean;
}

export interface ConnectionEvents {
  /** The other side is a member, and has introduced itself. Once. */
  onProven(connection: Connection): void;
  /** The other side uses this connection of the pair. */
  onUse(connection: Connection): void;
  /** The other side has a link to another process with the key of this gateway, of this instance. `onGone` follows. */
  onToldOfTwin(connection: Connection, instance: string): void;
  /** Once, and last. */
  onGone(connection: Connection, reason: string, code: ByeCode): void;
}

export interface ConnectionOptions {
  readonly stream: FrameStream;
  readonly path: ConnectionPath;
  readonly side: HandshakeSide;
  readonly address: HostPort;
}

const CHANNELS: ReadonlySet<number> = new Set(Object.values(Channel));
const NO_BYTES = new Uint8Array(0);

export class Connection implements PeerLink {
  readonly peer: GatewayId;
  readonly path: ConnectionPath;
  readonly side: HandshakeSide;
  readonly address: HostPort;
  handlers: LinkHandlers | undefined;
  /** Of the other side; set once it is proven. */
  introduction: Introduction | undefined;
  rttMs: number | undefined;
  /** Since when it is live; undefined: it never was. */
  liveSinceMs: number | undefined;
  /** Resolves when its socket is closed. */
  readonly closed: Promise<void>;
  readonly #stream: FrameStream;
  readonly #ports: ConnectionPorts;
  readonly #events: ConnectionEvents;
  readonly #ownKey: Uint8Array;
  readonly #handshakeHash: Uint8Array;
  readonly #datagramSecret: Uint8Array;
  #state: ConnectionState = 'proving';
  #wasLive = false;
  #deadline: TimerHandle;
  #seal: DatagramSeal | undefined;
  #error: Error | undefined;
  #isFull = false;
  #heardBytes = 0;
  #silentTicks = 0;
  #leftBytes = 0;
  #stalledTicks = 0;
  #ticks = 0;
  #pingNumber = 0;
  #pingSentMs = 0;
  #onPong: (() => void) | undefined;

  /** The stream has done its handshake. */
  constructor(options: ConnectionOptions, ports: ConnectionPorts, events: ConnectionEvents) {
    const stream = options.stream;
    this.#stream = stream;
    this.#ports = ports;
    this.#events = events;
    this.path = options.path;
    this.side = options.side;
    this.address = options.address;
    this.peer = gatewayIdOf(stream.remotePublicKey ?? NO_BYTES);
    this.#ownKey = stream.publicKey ?? NO_BYTES;
    this.#handshakeHash = Uint8Array.from(stream.handshakeHash ?? NO_BYTES);
    this.#datagramSecret = Uint8Array.from(ports.randomBytes(SEAL_SECRET_BYTES));
    this.#deadline = ports.timers.after(PROOF_TIMEOUT_MS, () => this.drop(Reason.proofTimeout));
    stream.on('error', (error: Error) => (this.#error = error));
    this.closed = new Promise((resolve) => {
      stream.on('close', () => {
        resolve();
        this.#onStreamClose();
      });
    });
    stream.on('drain', () => this.#onDrain());
    // Whenever the socket has taken one message; the stream says it only when all are gone.
    stream.rawStream?.on('drain', () => {
      if (this.queuedBytes <= QUEUE_LOW_WATER_BYTES) this.#onDrain();
    });
    stream.on('message', (bytes: Uint8Array) => this.#onDatagram(bytes));
    stream.on('data', (bytes: Buffer) => this.#onMessage(bytes));
    stream.write(Buffer.from(ports.swarmKey.proof(this.side, this.#handshakeHash, this.#ownKey)));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get remoteAddress(): string {
    return showAddress(this.address);
  }

  get queuedBytes(): number {
    const { rawStream } = this.#stream;
    return bufferedBytes(this.#stream) + (rawStream?.writableLength ?? bufferedBytes(rawStream));
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    if (this.#state !== 'live') return false;
    if (frame.length > FRAME_MAX_BYTES) {
      this.close(Reason.tooLarge);
      return false;
    }
    this.#write(channel, frame);
    const queued = this.queuedBytes;
    if (queued > QUEUE_MAX_BYTES) this.close(Reason.tooMuchQueued);
    if (queued < QUEUE_HIGH_WATER_BYTES) return true;
    this.#isFull = true;
    return false;
  }

  sendDatagram(bytes: Uint8Array): void {
    if (this.#state !== 'live' || bytes.length > DATAGRAM_MAX_BYTES) return;
    if (this.path === 'tcp') {
      if (this.queuedBytes <= DATAGRAM_QUEUE_MAX_BYTES) this.#write(DATAGRAM_CHANNEL, bytes);
      return;
    }
    const sealed = this.#seal?.seal(bytes);
    try {
      if (sealed !== undefined) this.#stream.trySend(Buffer.from(sealed));
    } catch {
      // A route that is gone says so here; a datagram may get lost.
    }
  }

  close(reason: string): void {
    this.#end(reason, ByeCode.fault, (notify) => queueMicrotask(notify));
  }

  /** Says why, to the other side too; `onClose` comes from inside of it. */
  dismiss(reason: string, code: ByeCode): void {
    const toThem = code === ByeCode.evicted ? Reason.evictedThere : reason;
    const here = code === ByeCode.twin ? Reason.twinThere : reason;
    this.#end(here, code, (notify) => notify(), toThem);
  }

  /** Says nothing. */
  drop(reason: string): void {
    if (!this.#leave()) return;
    this.#stream.destroy();
    this.#notifyGone(reason, ByeCode.fault);
  }

  /** Of the process at the other side; empty: not known yet. */
  get instance(): string {
    return Buffer.from(this.introduction?.instance ?? NO_BYTES).toString('hex');
  }

  /** It is the link now: `handlers` have to be set in the same turn. @param isChooser this side tells the other */
  use(isChooser: boolean): void {
    if (this.#state !== 'proven') return;
    this.#deadline.cancel();
    this.#state = 'live';
    this.liveSinceMs = this.#ports.clock.now();
    // Nothing comes within this turn.
    this.#stream.resume();
    if (isChooser) this.#control({ kind: 'use' });
  }

  /** @param onPong at most once, perhaps never */
  ping(onPong?: () => void): void {
    this.#pingNumber = (this.#pingNumber + 1) >>> 0;
    this.#pingSentMs = this.#ports.clock.now();
    if (onPong !== undefined) this.#onPong = onPong;
    this.#control({ kind: 'ping', number: this.#pingNumber });
  }

  /** Every TICK_MS. */
  tick(): void {
    if (this.#state === 'closed') return;
    if (this.#isSilent()) return this.drop(Reason.silent);
    if (this.#isStalled()) return this.drop(Reason.stalled);
    if (this.#state === 'live' && this.#ticks++ % RTT_EVERY_TICKS === 0) this.ping();
  }

  #isSilent(): boolean {
    const raw = this.#stream.rawStream;
    const heard = raw?.bytesRead ?? raw?.bytesReceived ?? 0;
    this.#silentTicks = heard === this.#heardBytes ? this.#silentTicks + 1 : 0;
    this.#heardBytes = heard;
    return this.#silentTicks >= SILENT_MAX_TICKS;
  }

  #isStalled(): boolean {
    const left = this.#stream.rawBytesWritten;
    const waits = this.queuedBytes > 0 && left === this.#leftBytes;
    this.#stalledTicks = waits ? this.#stalledTicks + 1 : 0;
    this.#leftBytes = left;
    return this.#stalledTicks >= STALLED_MAX_TICKS;
  }

  #onMessage(message: Buffer): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'proving') return this.#onProof(message);
    const channel = message[0];
    if (channel === undefined || message.length > FRAME_MAX_BYTES + 1) {
      return this.dismiss(Reason.malformed, ByeCode.fault);
    }
    const frame = message.subarray(1);
    if (channel === CONTROL_CHANNEL) return this.#onControl(frame);
    if (this.#state !== 'live') return this.dismiss(Reason.malformed, ByeCode.fault);
    if (channel === DATAGRAM_CHANNEL) return this.handlers?.onDatagram(frame);
    if (isChannel(channel)) this.handlers?.onFrame(channel, frame);
  }

  #onProof(proof: Uint8Array): void {
    const theirSide = this.side === 'dialler' ? 'listener' : 'dialler';
    const theirKey = this.#stream.remotePublicKey ?? NO_BYTES;
    if (!this.#ports.swarmKey.verify(proof, theirSide, this.#handshakeHash, theirKey)) {
      return this.drop(Reason.stranger);
    }
    this.#stream.isProven = true;
    if (this.#ports.isRefused(this.peer)) return this.dismiss(Reason.evicted, ByeCode.evicted);
    this.#state = 'introducing';
    const introduction = { ...this.#ports.introduce(), datagramSecret: this.#datagramSecret };
    this.#control({ kind: 'introduction', ...introduction });
  }

  #onControl(frame: Uint8Array): void {
    const control = decodeControl(frame);
    if (control === undefined) return this.dismiss(Reason.malformed, ByeCode.fault);
    if (control === 'unknown') return;
    if (control.kind === 'bye') return this.#onBye(control.code, control.reason);
    if (this.#state === 'introducing') this.#onIntroduction(control);
    else if (control.kind === 'use') this.#onUse();
    else if (control.kind === 'ping') this.#control({ kind: 'pong', number: control.number });
    else if (control.kind === 'pong') this.#onPongOf(control.number);
  }

  /** It sends frames from here on. While this side asks whether another link is alive, they wait unread. */
  #onUse(): void {
    this.#events.onUse(this);
    if (this.#state === 'proven') this.#stream.pause();
  }

  #onIntroduction(control: Control): void {
    if (control.kind !== 'introduction') return this.dismiss(Reason.malformed, ByeCode.fault);
    this.introduction = control;
    this.#seal = new DatagramSeal(this.#datagramSecret, control.datagramSecret, this.side === 'dialler');
    this.#state = 'proven';
    this.#deadline.cancel();
    this.#deadline = this.#ports.timers.after(CHOICE_TIMEOUT_MS, () =>
      this.dismiss(Reason.choiceTimeout, ByeCode.fault),
    );
    this.#events.onProven(this);
  }

  #onPongOf(number: number): void {
    if (number === this.#pingNumber) this.rttMs = this.#ports.clock.now() - this.#pingSentMs;
    // The answer to an older one shows as well that the other end lives.
    const onPong = this.#onPong;
    this.#onPong = undefined;
    onPong?.();
  }

  #onBye(code: ByeCode, reason: string): void {
    if (!this.#leave()) return;
    this.#stream.destroy();
    if (code === ByeCode.twin) {
      this.#events.onToldOfTwin(this, reason);
      this.#notifyGone(Reason.twin, code);
      return;
    }
    this.#notifyGone(code === ByeCode.fault ? `the other side closed: ${reason}` : reason, code);
  }

  #onDatagram(sealed: Uint8Array): void {
    if (this.#state !== 'live' || sealed.length > DATAGRAM_MAX_BYTES + SEAL_OVERHEAD_BYTES) return;
    const bytes = this.#seal?.open(sealed);
    if (bytes !== undefined) this.handlers?.onDatagram(bytes);
  }

  #onDrain(): void {
    if (!this.#isFull || this.#state !== 'live') return;
    this.#isFull = false;
    this.handlers?.onDrain();
  }

  #onStreamClose(): void {
    if (!this.#leave()) return;
    const error = this.#error;
    this.#notifyGone(error === undefined ? Reason.ended : reasonOf(error, this.address), ByeCode.fault);
  }

  #write(channel: number, frame: Uint8Array): void {
    const message = this.#stream.alloc(frame.length + 1);
    message[0] = channel;
    message.set(frame, 1);
    this.#stream.write(message);
  }

  #control(control: Control): void {
    if (this.#state !== 'closed') this.#write(CONTROL_CHANNEL, encodeControl(control));
  }

  #end(reason: string, code: ByeCode, later: (notify: () => void) => void, toThem = reason): void {
    if (this.#state === 'closed') return;
    this.#control({ kind: 'bye', code, reason: toThem });
    this.#leave();
    const stream = this.#stream;
    stream.end();
    const cut = this.#ports.timers.after(CLOSE_GRACE_MS, () => stream.destroy());
    stream.once('close', () => cut.cancel());
    later(() => this.#notifyGone(reason, code));
  }

  #leave(): boolean {
    if (this.#state === 'closed') return false;
    this.#wasLive = this.#state === 'live';
    this.#state = 'closed';
    this.#deadline.cancel();
    // Its end comes only after what was not read.
    this.#stream.resume();
    return true;
  }

  #notifyGone(reason: string, code: ByeCode): void {
    if (this.#wasLive) this.handlers?.onClose(reason);
    this.#events.onGone(this, reason, code);
  }
}

/** streamx tells it nowhere else. */
function bufferedBytes(stream: FrameStream | RawStream | null): number {
  // oxlint-disable-next-line eslint/no-underscore-dangle
  return stream?._writableState?.buffered ?? 0;
}

function isChannel(number: number): number is Channel {
  return CHANNELS.has(number);
}
