/**
 * One client's connection: bytes in, packets to the session, bytes out.
 *
 *     handshake ──granted──▶ accepting ──CONNACK, door ready──▶ ready
 *         │                      │                                │
 *         └── refused, closed ───┴────────────────────────────────┴──▶ closing ──▶ closed
 *
 * The handshake is led by the admission. While `accepting` the door finishes what cannot be interrupted: an end in that time
 * takes effect right after it. Input that arrives before `ready` waits.
 */
import type { TimerHandle } from '../contracts/clock.js';
import { encodePacket } from '../protocol/encode.js';
import { malformed, protocolError } from '../protocol/frame-reader.js';
import type { AuthPacket, ConnectPacket, Packet, ProtocolVersion } from '../protocol/packet.js';
import { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { CloseReason } from '../session/environment.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import { Admission } from './admission.js';
import type { ConnectionEnvironment } from './environment.js';
import { clampExpiry, type Terms } from './handshake.js';
import { type FrameHandler, Input } from './input.js';
import { keepAliveTimeout } from './keep-alive.js';
import { Outbox } from './outbox.js';
import { handleFrame, type PacketLink } from './packet-lane.js';
import { PublishLane } from './publish-lane.js';
import { refusalInsteadOf } from './refusal.js';
import { StallWatch } from './stall-watch.js';
import type { Transport, TransportHandler } from './transport.js';

/** In the order of a life: what is past `ready` is over. */
const ConnectionState = { handshake: 0, accepting: 1, ready: 2, closing: 3, closed: 4 } as const;
type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

/** Input beyond this waits in the client's socket while a connection does not take any. */
const WAITING_MAX_BYTES = 65536;
/** How long a closing connection may take to send its last bytes, where nothing else is said. */
const CLOSE_GRACE_MS = 2000;

export class Connection implements TransportHandler, FrameHandler, PacketLink {
  readonly transport: Transport;
  readonly outbox: Outbox;
  /** For the embedder: the upgrade request of a WebSocket. */
  readonly request: unknown;
  readonly admission: Admission;
  /** What the client asked for, what it was granted, and its session while it is in: as far as the admission has come. */
  connect: ConnectPacket | undefined;
  terms: Terms | undefined;
  session: Session | undefined;
  frameMaxBytes: number;
  /** Why this side ended the connection; undefined while it has not. */
  closeReason: CloseReason | undefined;
  readonly #env: ConnectionEnvironment;
  readonly #input: Input;
  readonly #stall: StallWatch;
  #state: ConnectionState = ConnectionState.handshake;
  #lane: PublishLane | undefined;
  /** When the client was last heard, or could be again. */
  #lastReceivedAt: number;
  #paused = false;
  /** What DISCONNECT of the client means for its session. */
  #farewell: { readonly discardWill: boolean; readonly expiryS: number | undefined } | undefined;
  /** What ended the connection while it was `accepting`. */
  #endWhenReady: (() => void) | undefined;
  #closeDeadline: TimerHandle | undefined;

  constructor(transport: Transport, env: ConnectionEnvironment, request?: unknown) {
    const { connectMaxBytes, writeTimeoutMs } = env.connectionLimits;
    this.transport = transport;
    this.request = request;
    this.#env = env;
    this.frameMaxBytes = connectMaxBytes;
    this.outbox = new Outbox(transport, env);
    this.#input = new Input(this);
    this.#lastReceivedAt = env.clock.now();
    this.#stall = new StallWatch(this.outbox, writeTimeoutMs, this.#lastReceivedAt);
    this.admission = new Admission(this, env);
  }

  // What its session sees of it.

  get version(): ProtocolVersion {
    return this.connect?.version ?? 4;
  }

  get sendWindow(): number {
    return this.agreedTerms.sendWindow;
  }

  get maximumPacketSize(): number {
    return this.agreedTerms.maximumPacketSize;
  }

  get topicAliasMaximum(): number {
    return this.agreedTerms.topicAliasMaximum;
  }

  get isBridge(): boolean {
    return this.agreedTerms.isBridge;
  }

  get problemInformation(): boolean {
    return this.agreedTerms.problemInformation;
  }

  get isReady(): boolean {
    return this.#state === ConnectionState.ready;
  }

  get handle(): unknown {
    return this.admission.handle;
  }

  /** `terms` where they have been agreed on for long. @throws Error before */
  get agreedTerms(): Terms {
    if (this.terms === undefined) throw new Error('the connection has no terms yet');
    return this.terms;
  }

  // Bytes in.

  data(bytes: Uint8Array): void {
    if (this.#state >= ConnectionState.closing) return;
    count(this.#env.counters, C.bytesReceived, bytes.length);
    this.#lastReceivedAt = this.#env.clock.now();
    const { flushQueue } = this.#env;
    flushQueue.readBegins();
    this.#guarded(() => this.#input.feed(bytes));
    this.#adjustReading();
    flushQueue.readDone();
  }

  begins(first: number): void {
    if (this.#state === ConnectionState.handshake) this.admission.begins(first);
    if (first < 0x10) throw malformed('packet type 0 is reserved');
  }

  tooLarge(bytes: Uint8Array, start: number, size: number): ProtocolError {
    if (this.#state === ConnectionState.handshake) {
      this.admission.begins(bytes[start] as number);
      this.admission.tooLarge(bytes.subarray(start));
    }
    const [what, key] = this.connect === undefined ? ['CONNECT', ' (mqtt.connectMaxBytes)'] : ['packet', ''];
    return new ProtocolError(
      ReasonCode.packetTooLarge,
      `a ${what} of ${size} bytes is larger than the ${this.frameMaxBytes} that are accepted here${key}`,
    );
  }

  frame(bytes: Uint8Array, start: number, body: number, end: number): void {
    if (this.#state === ConnectionState.ready) {
      if ((bytes[start] as number) >> 4 === 3) {
        this.#publish(bytes, start, body, end);
        return;
      }
      this.#lane?.flush();
      if (this.session !== undefined) handleFrame(bytes, start, body, end, this, this.session, this.#env);
    } else {
      this.admission.frame(bytes.subarray(start, end));
    }
  }

  #publish(bytes: Uint8Array, start: number, body: number, end: number): void {
    let lane = this.#lane;
    if (lane === undefined) {
      if (this.session === undefined) return;
      const { topicAliasMaximum } = this.#env.connectionLimits;
      lane = new PublishLane(this.#env, { session: this.session, link: this, topicAliasMaximum });
      this.#lane = lane;
    }
    lane.publish(bytes, start, body, end);
  }

  suspend(): void {
    this.#input.suspend();
  }

  resume(): void {
    if (this.#state >= ConnectionState.closing) return;
    this.#guarded(() => this.#input.resume());
    this.#adjustReading();
  }

  /** Runs a step that bytes from outside drive: what they break is theirs alone. */
  #guarded(step: () => void): void {
    try {
      step();
      this.#lane?.flush();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#lane?.flush();
      this.#onProtocolError(error);
    }
  }

  #onProtocolError(error: ProtocolError): void {
    if (this.#state === ConnectionState.handshake) {
      this.admission.failed(error);
      return;
    }
    this.#env.onError(this, error);
    this.disconnect({ code: error.reasonCode, counter: C.disconnectedProtocol, text: error.message });
  }

  /** Whether reading goes on depends on how much waits. */
  #adjustReading(): void {
    if (this.#state >= ConnectionState.closing) return;
    const full = this.#input.suspended && this.#input.waitingBytes > WAITING_MAX_BYTES;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) {
      this.transport.pause();
    } else {
      // It was not silent, it was not read.
      this.#lastReceivedAt = this.#env.clock.now();
      this.transport.resume();
    }
  }

  // Packets out.

  /** @returns false where the packet is larger than the client takes: nothing is sent then [MQTT-3.1.2-24]. */
  send(packet: Packet, version: ProtocolVersion = this.version): boolean {
    const bytes = encodePacket(packet, version);
    if (bytes.length > (this.connect?.properties.maximumPacketSize ?? Infinity)) return false;
    this.outbox.append(bytes, true);
    return true;
  }

  answer(packet: Packet): boolean {
    const sent = this.send(packet);
    if (!sent) {
      this.disconnect({
        code: ReasonCode.packetTooLarge,
        counter: C.disconnectedProtocol,
        text: `${packet.type.toUpperCase()} is larger than the Maximum Packet Size of the client`,
      });
    }
    return sent;
  }

  ping(): void {
    this.send({ type: 'pingresp' });
    count(this.#env.counters, C.sentPingresp);
    this.#env.onPing(this);
  }

  // Its life.

  /** The client has its session; the door finishes. */
  accept(session: Session): void {
    this.session = session;
    this.#enter(ConnectionState.accepting);
  }

  /** The door is done: input flows, deliveries begin. */
  ready(): void {
    const { connect, session } = this;
    if (this.#state !== ConnectionState.accepting || session === undefined) return;
    this.#enter(ConnectionState.ready);
    if (this.#endWhenReady !== undefined) {
      this.#endWhenReady();
      return;
    }
    // The CONNECT packet holds the password.
    if (connect !== undefined) delete connect.password;
    // However long CONNACK took: nothing may be sent before it.
    this.#lastReceivedAt = this.#env.clock.now();
    session.start(this);
    this.resume();
  }

  /** AUTH of a client that is in. @throws ProtocolError */
  reAuthenticate(packet: AuthPacket): void {
    this.admission.reAuthenticate(packet);
  }

  /** Called some times a second. */
  tick(now: number): void {
    if (this.#state !== ConnectionState.ready) return;
    const silentMs = this.#paused ? 0 : now - this.#lastReceivedAt;
    const timeout = keepAliveTimeout(silentMs, this.agreedTerms.keepAliveS);
    if (timeout !== undefined) this.#env.onKeepAliveTimeout(this);
    const reason = timeout ?? this.#stall.check(now);
    if (reason !== undefined) this.disconnect(reason);
    else this.session?.outbound.tick(now);
  }

  // Its end.

  /** This side ends the connection; the client is told why where its version has a way. */
  disconnect(reason: CloseReason): void {
    switch (this.#state) {
      case ConnectionState.handshake:
        this.admission.refuse(refusalInsteadOf(reason));
        break;
      case ConnectionState.accepting:
        this.#endWhenReady ??= () => this.disconnect(reason);
        break;
      case ConnectionState.ready:
        this.closeReason = reason;
        this.#lane?.flush();
        if (this.version === 5 && reason.code !== undefined) this.#sendDisconnect(reason.code, reason.text);
        this.close(reason.counter, reason.graceMs);
        break;
      case ConnectionState.closing:
      case ConnectionState.closed:
        break;
    }
  }

  #sendDisconnect(code: number, text: string): void {
    const sent =
      this.send({ type: 'disconnect', reasonCode: code, properties: { reasonString: text } }) ||
      this.send({ type: 'disconnect', reasonCode: code, properties: {} });
    if (sent) count(this.#env.counters, C.sentDisconnect);
  }

  /** The client leaves. @throws ProtocolError where it asks for a session that CONNECT did not. */
  left(reasonCode: number, expiryS: number | undefined): void {
    if (expiryS !== undefined && expiryS > 0 && this.agreedTerms.expiryS === 0) {
      throw protocolError('DISCONNECT keeps a session that CONNECT did not [MQTT-3.14.2-2]');
    }
    const { sessionExpiryMaxS } = this.#env.connectionLimits;
    this.#farewell = {
      // Only a normal disconnection withdraws the will [MQTT-3.14.4-3].
      discardWill: reasonCode === ReasonCode.success,
      expiryS: expiryS === undefined ? undefined : clampExpiry(expiryS, sessionExpiryMaxS),
    };
    this.close(C.disconnectedByClient);
  }

  /**
   * Sends what is gathered and closes; the session learns of it at once. @param counter undefined: counted already, as every
   * end of a handshake is.
   */
  close(counter: number | undefined, graceMs = CLOSE_GRACE_MS): void {
    if (this.#state === ConnectionState.accepting) {
      this.#endWhenReady ??= () => this.close(counter, graceMs);
      return;
    }
    if (this.#state >= ConnectionState.closing) return;
    this.#enter(ConnectionState.closing);
    this.#input.stop();
    this.outbox.end();
    this.transport.resume();
    const { clock, timers } = this.#env;
    this.#closeDeadline = timers.at(clock.now() + graceMs, () => this.transport.destroy());
    this.#giveBack(counter);
  }

  /** The transport is gone. */
  closed(error: Error | undefined): void {
    if (this.#state === ConnectionState.closed) return;
    if (error !== undefined && this.#state < ConnectionState.closing) this.#env.onError(this, error);
    // Whatever else was to end it: there is nobody left to tell. But what the client said before is heard, its DISCONNECT too.
    if (this.#state === ConnectionState.accepting)
      this.#endWhenReady = () => {
        this.resume();
        this.#leave();
      };
    else this.#leave();
  }

  #leave(): void {
    const before = this.#state;
    this.#enter(ConnectionState.closed);
    this.#closeDeadline?.cancel();
    this.#input.stop();
    this.#lane?.flush();
    if (before === ConnectionState.handshake) this.#giveBack(C.connectionRefusedClosed);
    else if (before === ConnectionState.ready) this.#giveBack(C.disconnectedNetwork);
    this.outbox.close();
    this.#env.onClosed(this);
  }

  /** Session, door and client id are given back, in this order: whoever waits for the id finds nothing of this connection. */
  #giveBack(counter: number | undefined): void {
    if (counter !== undefined) count(this.#env.counters, counter);
    const { session } = this;
    this.session = undefined;
    session?.disconnect(this.#farewell?.discardWill ?? false, this.#farewell?.expiryS);
    this.admission.leave();
  }

  #enter(state: ConnectionState): void {
    const settled = this.#state >= ConnectionState.ready;
    this.#state = state;
    if (!settled && state >= ConnectionState.ready) this.#env.onSettled(this);
  }
}
