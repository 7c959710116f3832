/**
 * One client's connection: bytes in, packets to the session, bytes out.
 *
 *     opening ──CONNECT──▶ admitting ──admitted──▶ accepting ──CONNACK, door ready──▶ ready
 *        │                     │                       │                               │
 *        └─────────────────────┴──── refused, closed ──┴───────────────────────────────┴──▶ closing ──▶ closed
 *
 * `admitting` may take long (credentials, an older connection of the same client id that has to leave, storage). Between
 * `accepting` and `ready` the door finishes what cannot be interrupted: an end in that time takes effect right after it.
 * Input that arrives before `ready` waits.
 */
import type { TimerHandle } from '../contracts/clock.js';
import type { EnhancedStep } from '../contracts/security.js';
import { connectVersionOf, decodeConnect } from '../protocol/decode-connect.js';
import { decodePacket } from '../protocol/decode.js';
import { encodePacket } from '../protocol/encode.js';
import { malformed, protocolError } from '../protocol/frame-reader.js';
import {
  type AuthPacket,
  type ConnectPacket,
  type Packet,
  PacketType,
  type Properties,
  type ProtocolVersion,
  type Will,
} from '../protocol/packet.js';
import { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { CloseReason } from '../session/environment.js';
import type { Claimant } from '../session/registry.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import { EnhancedAuthentication } from './enhanced-authentication.js';
import type { AuthenticateHook, ConnectionEnvironment, DoorSession, Refusal } from './environment.js';
import { assess, clampExpiry, connackProperties, refusalConnack, type Terms } from './handshake.js';
import { type FrameHandler, Input } from './input.js';
import { keepAliveTimeout } from './keep-alive.js';
import { Outbox } from './outbox.js';
import { handleFrame, type PacketLink } from './packet-lane.js';
import { PublishLane } from './publish-lane.js';
import { claimRefusal, credentialsRefusal, protocolRefusal, refusalInsteadOf } from './refusal.js';
import { StallWatch } from './stall-watch.js';
import type { Transport, TransportHandler } from './transport.js';

const ConnectionState = {
  opening: 0,
  admitting: 1,
  accepting: 2,
  ready: 3,
  closing: 4,
  closed: 5,
} as const;
type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

/** Input beyond this waits in the client's socket while a connection does not take any. */
const WAITING_MAX_BYTES = 65536;
/** How long a closing connection may take to send its last bytes. */
const CLOSE_GRACE_MS = 2000;
/** The whole handshake may take this many times the time for CONNECT. */
const HANDSHAKE_FACTOR = 6;

export class Connection implements TransportHandler, PacketLink, Claimant, FrameHandler {
  readonly outbox: Outbox;
  readonly transport: Transport;
  /** For the embedder: the upgrade request of a WebSocket. */
  readonly request: unknown;
  connect: ConnectPacket | undefined;
  terms: Terms | undefined;
  session: Session | undefined;
  /** Why this side ended the connection; undefined while it has not. */
  closeReason: CloseReason | undefined;
  readonly #env: ConnectionEnvironment;
  readonly #input: Input;
  #state: ConnectionState = ConnectionState.opening;
  #doorSession: DoorSession | undefined;
  #admitted: ((refusal: Refusal | undefined) => void) | undefined;
  #present = false;
  #lane: PublishLane | undefined;
  #deadline: TimerHandle | undefined;
  #lastReceivedAt: number;
  readonly #stall: StallWatch;
  #paused = false;
  #discardWill = false;
  #expiryFromDisconnect: number | undefined;
  /** What ended the connection while it was `accepting`. */
  #endWhenReady: (() => void) | undefined;
  #enhanced: EnhancedAuthentication | undefined;
  #connackAuthentication: Uint8Array | undefined;
  #username: string | undefined;
  /** Of a CONNECT that may turn out to be broken. */
  #versionAsked: ProtocolVersion | undefined;

  constructor(transport: Transport, env: ConnectionEnvironment, request?: unknown) {
    this.transport = transport;
    this.request = request;
    this.#env = env;
    this.outbox = new Outbox(transport, env);
    this.#input = new Input(this);
    this.#lastReceivedAt = env.clock.now();
    this.#stall = new StallWatch(this.outbox, env.connectionLimits.writeTimeoutMs, this.#lastReceivedAt);
    this.#startDeadline(env.connectionLimits.connectTimeoutMs);
  }

  // What the session sees of its link.

  get version(): ProtocolVersion {
    return this.connect?.version ?? 4;
  }

  get sendWindow(): number {
    return this.#termsNow.sendWindow;
  }

  get maximumPacketSize(): number {
    return this.#termsNow.maximumPacketSize;
  }

  get topicAliasMaximum(): number {
    return this.#termsNow.topicAliasMaximum;
  }

  get problemInformation(): boolean {
    return this.#termsNow.problemInformation;
  }

  // What the registry sees of a claimant.

  get clientId(): string {
    return this.#termsNow.clientId;
  }

  get username(): string | undefined {
    return this.#username;
  }

  get cleanStart(): boolean {
    return this.connect?.cleanStart ?? true;
  }

  get expiryS(): number {
    return this.#termsNow.expiryS;
  }

  get will(): Will | undefined {
    return this.connect?.will;
  }

  get isReady(): boolean {
    return this.#state === ConnectionState.ready;
  }

  get handle(): unknown {
    return this.#doorSession?.handle;
  }

  get #termsNow(): Terms {
    if (this.terms === undefined) throw new Error('the connection has no terms before CONNECT');
    return this.terms;
  }

  // Bytes in.

  get frameMaxBytes(): number {
    const limits = this.#env.connectionLimits;
    return this.#state === ConnectionState.opening ? limits.connectMaxBytes : limits.packetMaxBytes;
  }

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
    if (this.#state === ConnectionState.opening && first !== 0x10)
      throw protocolError('the first packet is not CONNECT');
    if (first < 0x10) throw malformed('packet type 0 is reserved');
  }

  tooLarge(bytes: Uint8Array, start: number, size: number): ProtocolError {
    if (this.#state === ConnectionState.opening) this.#versionAsked = connectVersionOf(bytes.subarray(start));
    return new ProtocolError(
      ReasonCode.packetTooLarge,
      `a packet of ${size} bytes is larger than the ${this.frameMaxBytes} that are accepted here`,
    );
  }

  frame(bytes: Uint8Array, start: number, body: number, end: number): void {
    const first = bytes[start] as number;
    if (this.#state === ConnectionState.ready) {
      if (first >> 4 === 3) {
        this.#publish(bytes, start, body, end);
        return;
      }
      this.#lane?.flush();
      if (this.session !== undefined) handleFrame(bytes, start, body, end, this, this.session, this.#env);
    } else if (this.#state === ConnectionState.opening) {
      if (first >> 4 === 1) this.#versionAsked = connectVersionOf(bytes.subarray(start, end));
      this.begins(first);
      this.#onConnect(decodeConnect(bytes.subarray(start, end)));
    } else {
      // Before it is decoded: the codes of other packets are not all for CONNACK [MQTT-3.1.2-30].
      const type = first >> 4;
      if (type !== PacketType.auth && type !== PacketType.disconnect)
        throw protocolError('only AUTH and DISCONNECT may come between CONNECT and CONNACK');
      this.#duringHandshake(decodePacket(bytes.subarray(start, end), this.version, 'toServer'));
    }
  }

  /** The transport is gone. */
  closed(error: Error | undefined): void {
    if (this.#state === ConnectionState.closed) return;
    if (error !== undefined && this.#state < ConnectionState.closing) this.#env.onError(this, error);
    if (this.#state === ConnectionState.accepting) {
      this.#endWhenReady = () => this.#leave(C.disconnectedNetwork);
      return;
    }
    this.#leave(C.disconnectedNetwork);
  }

  suspend(): void {
    this.#input.suspend();
  }

  resume(): void {
    if (this.#state >= ConnectionState.closing) return;
    this.#guarded(() => this.#input.resume());
    this.#adjustReading();
  }

  /** Called some times a second. */
  tick(now: number): void {
    if (this.#state !== ConnectionState.ready) return;
    const timeout = keepAliveTimeout(now - this.#lastReceivedAt, this.#termsNow.keepAliveS);
    if (timeout !== undefined) this.#env.onKeepAliveTimeout(this);
    const reason = timeout ?? this.#stall.check(now);
    if (reason !== undefined) this.disconnect(reason);
    else this.session?.outbound.tick(now);
  }

  // The end.

  disconnect(reason: CloseReason): void {
    switch (this.#state) {
      case ConnectionState.opening:
      case ConnectionState.admitting:
        this.refuse(refusalInsteadOf(reason));
        break;
      case ConnectionState.accepting:
        this.#endWhenReady ??= () => this.disconnect(reason);
        break;
      case ConnectionState.ready:
        this.closeReason = reason;
        this.#lane?.flush();
        if (this.version === 5 && reason.code !== undefined) this.#sendDisconnect(reason.code, reason.text);
        this.#close(reason.counter);
        break;
      case ConnectionState.closing:
      case ConnectionState.closed:
        break;
    }
  }

  evict(): void {
    this.disconnect({
      code: ReasonCode.sessionTakenOver,
      counter: C.disconnectedTakenOver,
      text: 'another connection with this client id took the session over',
    });
  }

  // The handshake, in the order in which it happens.

  #onConnect(connect: ConnectPacket): void {
    count(this.#env.counters, C.receivedConnect);
    this.connect = connect;
    this.#state = ConnectionState.admitting;
    this.#input.suspend();
    this.#startDeadline(this.#env.connectionLimits.connectTimeoutMs * HANDSHAKE_FACTOR);
    this.#doorSession = this.#env.door.open(this, connect);
  }

  /**
   * First the terms, among them the client id; the door may have changed `connect` before. @returns undefined where they
   * cannot be met: the connection has ended then.
   */
  negotiate(): Terms | undefined {
    const { connect } = this;
    if (connect === undefined || this.#state !== ConnectionState.admitting) return undefined;
    const assessment = assess(connect, this.#env.connectionLimits, this.#env.assignClientId);
    if (!assessment.ok) {
      this.refuse({ ...assessment, counter: C.connectionRefusedProtocol });
      return undefined;
    }
    this.terms = assessment.terms;
    return assessment.terms;
  }

  /**
   * Then credentials, client id and session. `admitted` is called once, with why not where it is not; never after the
   * connection ended.
   */
  admit(hook: AuthenticateHook | undefined, admitted: (refusal: Refusal | undefined) => void): void {
    const { connect } = this;
    if (connect === undefined || this.#state !== ConnectionState.admitting) return;
    this.#admitted = admitted;
    const method = connect.properties.authenticationMethod;
    if (hook !== undefined) hook((refusal) => this.#authenticated(connect.username, refusal));
    else if (method !== undefined) this.#startEnhanced(method, connect.properties.authenticationData);
    else void this.#checkCredentials(connect);
  }

  async #checkCredentials(connect: ConnectPacket): Promise<void> {
    const result = await this.#env.authenticator.authenticate({
      clientId: this.clientId,
      username: connect.username,
      password: connect.password,
      remoteAddress: this.transport.remoteAddress,
    });
    if (result.ok) this.#authenticated(result.username, undefined);
    else this.#authenticated(undefined, credentialsRefusal(result.reasonCode));
  }

  #startEnhanced(method: string, data: Uint8Array | undefined): void {
    const { authenticator } = this.#env;
    const { remoteAddress } = this.transport;
    this.#enhanced = new EnhancedAuthentication(
      authenticator,
      { method, clientId: this.clientId, remoteAddress },
      (step) => this.#onEnhancedStep(step),
    );
    if (this.#enhanced.start(data)) return;
    this.refuse({
      reasonCode: ReasonCode.badAuthenticationMethod,
      text: `this authentication method is not offered here; offered: ${authenticator.methods.join(', ') || 'none'}`,
      counter: C.connectionRefusedCredentials,
    });
  }

  #onEnhancedStep(step: EnhancedStep): void {
    const opening = this.#state === ConnectionState.admitting;
    switch (step.kind) {
      case 'continue':
        this.#sendAuth(ReasonCode.continueAuthentication, step.data);
        // During the handshake input is suspended; the client's answer has to come through.
        if (opening) this.resume();
        break;
      case 'done':
        if (opening) {
          this.#connackAuthentication = step.data;
          this.#authenticated(step.username, undefined);
        } else if (step.username === this.#username) {
          this.#sendAuth(ReasonCode.success, step.data);
        } else {
          this.#failReauthentication();
        }
        break;
      case 'refused':
        if (opening) this.refuse(credentialsRefusal(step.reasonCode));
        else this.#failReauthentication();
        break;
    }
  }

  #failReauthentication(): void {
    this.disconnect({
      code: ReasonCode.notAuthorized,
      counter: C.disconnectedAdministrative,
      text: 're-authentication failed',
    });
  }

  #authenticated(username: string | undefined, refusal: Refusal | undefined): void {
    if (this.#state !== ConnectionState.admitting || this.connect === undefined) return;
    if (refusal !== undefined) {
      this.refuse(refusal);
      return;
    }
    this.#username = username;
    const { will } = this.connect;
    if (will !== undefined && !this.#env.authorizer.canPublish(this, will.topic)) {
      this.refuse({
        reasonCode: ReasonCode.notAuthorized,
        text: 'not authorized to publish to the will topic',
        counter: C.connectionRefusedNotAuthorized,
      });
      return;
    }
    this.#env.registry.claim(this);
  }

  granted(session: Session, present: boolean): void {
    if (this.#state !== ConnectionState.admitting) return;
    this.session = session;
    this.#present = present;
    this.#state = ConnectionState.accepting;
    session.handle = this.handle;
    this.#admitted?.(undefined);
  }

  refused(reasonCode: number): void {
    this.refuse(claimRefusal(reasonCode));
  }

  /** The door answers CONNECT with success. */
  writeConnack(): void {
    const { connect, terms } = this;
    if (connect === undefined || terms === undefined) return;
    const properties = connackProperties(connect, terms, this.#env.connectionLimits);
    const method = connect.properties.authenticationMethod;
    if (connect.version === 5 && method !== undefined) {
      properties.authenticationMethod = method;
      if (this.#connackAuthentication !== undefined)
        properties.authenticationData = this.#connackAuthentication;
    }
    const sent = this.#send({
      type: 'connack',
      sessionPresent: this.#present,
      reasonCode: ReasonCode.success,
      properties,
    });
    if (sent) count(this.#env.counters, C.sentConnack);
    // DISCONNECT may not come before CONNACK [MQTT-3.14.0-1], so there is nothing left to say.
    else this.#endWhenReady ??= () => this.#close(C.disconnectedProtocol);
    count(this.#env.counters, C.connectionsAccepted);
  }

  /** The door is done: input flows, deliveries begin. */
  ready(): void {
    const { session } = this;
    if (this.#state !== ConnectionState.accepting || session === undefined) return;
    this.#state = ConnectionState.ready;
    this.#env.onSettled(this);
    this.#stopDeadline();
    if (this.#endWhenReady !== undefined) {
      this.#endWhenReady();
      return;
    }
    // The CONNECT packet holds the password.
    if (this.connect !== undefined) delete this.connect.password;
    session.start(this);
    this.resume();
  }

  /** CONNECT is answered with why not and the connection closed. Without effect once the client is accepted. */
  refuse(refusal: Refusal): void {
    if (this.#state >= ConnectionState.accepting) return;
    count(this.#env.counters, refusal.counter);
    if (this.connect !== undefined && !refusal.silent) this.#sendRefusal(this.connect.version, refusal);
    const admitted = this.#admitted;
    this.#admitted = undefined;
    this.#env.onRefused(this, refusal.text, admitted !== undefined);
    this.closeReason = { code: refusal.reasonCode, counter: refusal.counter, text: refusal.text };
    admitted?.(refusal);
    this.#close(undefined);
  }

  #sendRefusal(version: ProtocolVersion, refusal: Refusal): void {
    const properties: Properties = { ...refusal.properties };
    const sent =
      (version === 5 &&
        this.#send(
          refusalConnack(version, refusal.reasonCode, { ...properties, reasonString: refusal.text }),
          version,
        )) ||
      this.#send(refusalConnack(version, refusal.reasonCode, properties), version);
    if (sent) count(this.#env.counters, C.sentConnack);
  }

  /** Packets between CONNECT and CONNACK: only the client's part of enhanced authentication. */
  #duringHandshake(packet: Packet): void {
    if (this.#enhanced?.running !== true) throw protocolError(`${packet.type.toUpperCase()} before CONNACK`);
    if (packet.type === 'disconnect') {
      // The client gives up in the middle of its authentication, which it may [MQTT-3.1.2-30].
      count(this.#env.counters, C.connectionRefusedClosed);
      this.#close(undefined);
    } else if (packet.type === 'auth') {
      count(this.#env.counters, C.receivedAuth);
      this.#input.suspend();
      this.#enhanced.receive(packet, false);
    }
  }

  // Packets of a connection that is ready.

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

  /** The client leaves. @throws ProtocolError where it asks for a session that CONNECT did not. */
  left(reasonCode: number, expiryS: number | undefined): void {
    if (expiryS !== undefined && expiryS > 0 && this.expiryS === 0) {
      throw protocolError('DISCONNECT keeps a session that CONNECT did not [MQTT-3.14.2-2]');
    }
    // Only a normal disconnection withdraws the will [MQTT-3.14.4-3].
    this.#discardWill = reasonCode === ReasonCode.success;
    if (expiryS !== undefined) {
      this.#expiryFromDisconnect = clampExpiry(expiryS, this.#env.connectionLimits.sessionExpiryMaxS);
    }
    this.#close(C.disconnectedByClient);
  }

  /** AUTH of a client that is connected. @throws ProtocolError */
  reAuthenticate(packet: AuthPacket): void {
    if (this.#enhanced === undefined) throw protocolError('AUTH without a method in CONNECT');
    this.#enhanced.receive(packet, true);
  }

  // Bytes out.

  /** @returns false where the packet is larger than the client takes: nothing is sent then [MQTT-3.1.2-24]. */
  #send(packet: Packet, version: ProtocolVersion = this.version): boolean {
    const bytes = encodePacket(packet, version);
    if (bytes.length > (this.connect?.properties.maximumPacketSize ?? Infinity)) return false;
    this.outbox.append(bytes, true);
    return true;
  }

  ping(): void {
    this.#send({ type: 'pingresp' });
    count(this.#env.counters, C.sentPingresp);
    this.#env.onPing(this);
  }

  answer(packet: Packet): boolean {
    const sent = this.#send(packet);
    if (!sent) {
      this.disconnect({
        code: ReasonCode.packetTooLarge,
        counter: C.disconnectedProtocol,
        text: `${packet.type.toUpperCase()} is larger than the Maximum Packet Size of the client`,
      });
    }
    return sent;
  }

  #sendAuth(reasonCode: number, data: Uint8Array | undefined): void {
    const properties: Properties = {};
    const method = this.connect?.properties.authenticationMethod;
    if (method !== undefined) properties.authenticationMethod = method;
    if (data !== undefined) properties.authenticationData = data;
    if (this.answer({ type: 'auth', reasonCode, properties })) count(this.#env.counters, C.sentAuth);
  }

  #sendDisconnect(code: number, text: string): void {
    const sent =
      this.#send({ type: 'disconnect', reasonCode: code, properties: { reasonString: text } }) ||
      this.#send({ type: 'disconnect', reasonCode: code, properties: {} });
    if (sent) count(this.#env.counters, C.sentDisconnect);
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
    if (this.#state === ConnectionState.opening) {
      const version = this.#versionForAnswer(error);
      const refusal = protocolRefusal(error);
      count(this.#env.counters, refusal.counter);
      this.#env.onError(this, error);
      if (version !== undefined) this.#sendRefusal(version, refusal);
      this.#close(undefined);
      return;
    }
    if (this.#state === ConnectionState.admitting) {
      this.refuse(protocolRefusal(error));
      return;
    }
    this.#env.onError(this, error);
    this.disconnect({ code: error.reasonCode, counter: C.disconnectedProtocol, text: error.message });
  }

  /** The form in which to answer a CONNECT that cannot be accepted as it is; undefined: close without a word. */
  #versionForAnswer(error: ProtocolError): ProtocolVersion | undefined {
    // An unknown level gets return code 1 in the form of 3.1.1, which every client can read [MQTT-3.1.2-2]. Otherwise only
    // MQTT 5 has codes for what is wrong with a packet.
    if (error.reasonCode === ReasonCode.unsupportedProtocolVersion) return 4;
    return this.#versionAsked === 5 ? 5 : undefined;
  }

  /** Whether reading goes on depends on how much waits. */
  #adjustReading(): void {
    if (this.#state >= ConnectionState.closing) return;
    const full = this.#input.suspended && this.#input.waitingBytes > WAITING_MAX_BYTES;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.transport.pause();
    else this.transport.resume();
  }

  /** Sends what is gathered and closes; the session learns of it at once. */
  #close(counter: number | undefined): void {
    if (this.#state >= ConnectionState.closing) return;
    const wasOpening = this.#state < ConnectionState.accepting;
    if (wasOpening) this.#env.onSettled(this);
    this.#state = ConnectionState.closing;
    this.#input.stop();
    this.outbox.end();
    this.transport.resume();
    this.#deadline?.cancel();
    this.#deadline = this.#env.timers.at(this.#env.clock.now() + CLOSE_GRACE_MS, () =>
      this.transport.destroy(),
    );
    this.#detach(wasOpening ? undefined : counter);
  }

  /** The transport is gone already. */
  #leave(counter: number): void {
    const before = this.#state;
    this.#state = ConnectionState.closed;
    this.#stopDeadline();
    this.#input.stop();
    this.#lane?.flush();
    if (before < ConnectionState.closing) {
      if (before < ConnectionState.accepting) {
        count(this.#env.counters, C.connectionRefusedClosed);
        this.#env.onSettled(this);
      }
      this.#detach(before < ConnectionState.accepting ? undefined : counter);
    }
    this.outbox.close();
    this.#env.onClosed(this);
  }

  /** Session, door and client id are given back, in this order: whoever waits for the id finds nothing of this connection. */
  #detach(counter: number | undefined): void {
    if (counter !== undefined) count(this.#env.counters, counter);
    this.#admitted = undefined;
    this.#enhanced?.cancel();
    const { session } = this;
    this.session = undefined;
    session?.disconnect(this.#discardWill, this.#expiryFromDisconnect);
    this.#doorSession?.closed();
    if (this.terms !== undefined) this.#env.registry.release(this);
  }

  #startDeadline(delayMs: number): void {
    this.#stopDeadline();
    this.#deadline = this.#env.timers.at(this.#env.clock.now() + delayMs, () => {
      if (this.#state >= ConnectionState.accepting) return;
      count(this.#env.counters, C.connectionRefusedTimeout);
      this.#env.onError(this, new Error('the handshake did not end in time'));
      this.#close(undefined);
    });
  }

  #stopDeadline(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }
}
