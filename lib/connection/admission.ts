/**
 * How a client gets in: CONNECT, what it is granted, who it is, its client id and the session that goes with it, CONNACK.
 *
 *     waiting ──CONNECT──▶ deciding ──granted──▶ decided
 *        │                    │                     ▲
 *        └────────────────────┴── refused, closed ──┘
 *
 * Deciding may take long: credentials, an older connection of the same client id that has to leave, storage. The door leads
 * through it: `negotiate`, `admit`, `writeConnack`, then `ready` of the connection. The registry knows the client by this
 * object for as long as the connection lasts.
 */
import type { TimerHandle } from '../contracts/clock.js';
import type { EnhancedStep } from '../contracts/security.js';
import { connectVersionOf, decodeConnect } from '../protocol/decode-connect.js';
import { decodePacket } from '../protocol/decode.js';
import { protocolError } from '../protocol/frame-reader.js';
import {
  type AuthPacket,
  type ConnectPacket,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type Will,
} from '../protocol/packet.js';
import type { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { Claimant } from '../session/registry.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import type { Connection } from './connection.js';
import { EnhancedAuthentication } from './enhanced-authentication.js';
import type { AuthenticateHook, ConnectionEnvironment, DoorSession, Refusal } from './environment.js';
import { assess, connackProperties, refusalConnack, type Terms } from './handshake.js';
import { claimRefusal, credentialsRefusal, methodRefusal, protocolRefusal, WILL_REFUSAL } from './refusal.js';

const AdmissionState = { waiting: 0, deciding: 1, decided: 2 } as const;
type AdmissionState = (typeof AdmissionState)[keyof typeof AdmissionState];

/** The whole handshake may take this many times the time for CONNECT. */
const HANDSHAKE_FACTOR = 6;

export class Admission implements Claimant {
  readonly #connection: Connection;
  readonly #env: ConnectionEnvironment;
  #state: AdmissionState = AdmissionState.waiting;
  #deadline: TimerHandle | undefined;
  /** Of a CONNECT that may turn out to be broken. */
  #versionAsked: ProtocolVersion | undefined;
  #door: DoorSession | undefined;
  #admitted: ((refusal: Refusal | undefined) => void) | undefined;
  #enhanced: EnhancedAuthentication | undefined;
  #username: string | undefined;
  #present = false;

  constructor(connection: Connection, env: ConnectionEnvironment) {
    this.#connection = connection;
    this.#env = env;
    this.#startDeadline(env.connectionLimits.connectTimeoutMs);
  }

  // The client, as the registry and the access rules see it.

  get clientId(): string {
    return this.#connection.agreedTerms.clientId;
  }

  get username(): string | undefined {
    return this.#username;
  }

  get cleanStart(): boolean {
    return this.#connection.connect?.cleanStart ?? true;
  }

  get expiryS(): number {
    return this.#connection.agreedTerms.expiryS;
  }

  get will(): Will | undefined {
    return this.#connection.connect?.will;
  }

  get handle(): unknown {
    return this.#door?.handle;
  }

  // Bytes of a client that is not in.

  /** The first byte of a packet that is not whole yet. @throws ProtocolError */
  begins(first: number): void {
    if (this.#state === AdmissionState.waiting && first !== 0x10)
      throw protocolError('the first packet is not CONNECT');
  }

  /** `frame` is what arrived of a packet that is too large. */
  tooLarge(frame: Uint8Array): void {
    if (this.#state === AdmissionState.waiting) this.#versionAsked = connectVersionOf(frame);
  }

  /** One whole packet. @throws ProtocolError */
  frame(frame: Uint8Array): void {
    const first = frame[0] as number;
    const type = first >> 4;
    if (this.#state === AdmissionState.waiting) {
      if (type === PacketType.connect) this.#versionAsked = connectVersionOf(frame);
      this.begins(first);
      this.#onConnect(decodeConnect(frame));
      return;
    }
    // Before it is decoded: the codes of other packets are not all for CONNACK [MQTT-3.1.2-30].
    if (type !== PacketType.auth && type !== PacketType.disconnect)
      throw protocolError('only AUTH and DISCONNECT may come between CONNECT and CONNACK');
    this.#whileDeciding(decodePacket(frame, this.#connection.version, 'toServer'));
  }

  /** Between CONNECT and CONNACK a client has to say only its part of enhanced authentication. */
  #whileDeciding(packet: Packet): void {
    if (this.#enhanced?.running !== true) throw protocolError(`${packet.type.toUpperCase()} before CONNACK`);
    if (packet.type === 'disconnect') {
      // It gives up in the middle of it, which it may [MQTT-3.1.2-30].
      count(this.#env.counters, C.connectionRefusedClosed);
      this.#connection.close(undefined);
    } else if (packet.type === 'auth') {
      count(this.#env.counters, C.receivedAuth);
      this.#connection.suspend();
      this.#enhanced.receive(packet);
    }
  }

  /** What the client sent is not MQTT, or not now. */
  failed(error: ProtocolError): void {
    const refusal = protocolRefusal(error);
    if (this.#state !== AdmissionState.waiting) {
      this.refuse(refusal);
      return;
    }
    this.#decide();
    count(this.#env.counters, refusal.counter);
    this.#env.onError(this.#connection, error);
    const version = this.#versionForAnswer(error);
    if (version !== undefined) this.#sendRefusal(version, refusal);
    this.#connection.close(undefined);
  }

  /** The form in which to answer a CONNECT that cannot be accepted as it is; undefined: close without a word. */
  #versionForAnswer(error: ProtocolError): ProtocolVersion | undefined {
    // An unknown level gets return code 1 in the form of 3.1.1, which every client can read [MQTT-3.1.2-2]. Otherwise only
    // MQTT 5 has codes for what is wrong with a packet.
    if (error.reasonCode === ReasonCode.unsupportedProtocolVersion) return 4;
    return this.#versionAsked === 5 ? 5 : undefined;
  }

  // The way in, in the order in which it is gone.

  #onConnect(connect: ConnectPacket): void {
    const { connectTimeoutMs, packetMaxBytes } = this.#env.connectionLimits;
    count(this.#env.counters, C.receivedConnect);
    this.#state = AdmissionState.deciding;
    this.#connection.connect = connect;
    this.#connection.frameMaxBytes = packetMaxBytes;
    this.#connection.suspend();
    this.#startDeadline(connectTimeoutMs * HANDSHAKE_FACTOR);
    this.#door = this.#env.door.open(this.#connection, connect);
  }

  /**
   * First the terms, among them the client id; the door may have changed `connect` before. @returns undefined where they
   * cannot be met: the connection has ended then.
   */
  negotiate(): Terms | undefined {
    const { connect } = this.#connection;
    if (connect === undefined || this.#state !== AdmissionState.deciding) return undefined;
    const assessment = assess(connect, this.#env.connectionLimits, this.#env.assignClientId);
    if (!assessment.ok) {
      this.refuse({ ...assessment, counter: C.connectionRefusedProtocol });
      return undefined;
    }
    this.#connection.terms = assessment.terms;
    return assessment.terms;
  }

  /**
   * Then credentials, client id and session. `admitted` is called once, with why not where it is not; never after the
   * connection ended.
   */
  admit(hook: AuthenticateHook | undefined, admitted: (refusal: Refusal | undefined) => void): void {
    const { connect } = this.#connection;
    if (connect === undefined || this.#state !== AdmissionState.deciding) return;
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
      remoteAddress: this.#connection.transport.remoteAddress,
    });
    if (result.ok) this.#authenticated(result.username, undefined);
    else this.#authenticated(undefined, credentialsRefusal(result.reasonCode));
  }

  #startEnhanced(method: string, data: Uint8Array | undefined): void {
    const { authenticator, counters } = this.#env;
    const { remoteAddress } = this.#connection.transport;
    this.#enhanced = new EnhancedAuthentication({
      authenticator,
      counters,
      link: this.#connection,
      method,
      clientId: this.clientId,
      remoteAddress,
    });
    const offered = this.#enhanced.start(data, (step) => this.#onStep(step));
    if (!offered) this.refuse(methodRefusal(authenticator.methods));
  }

  #onStep(step: EnhancedStep): void {
    switch (step.kind) {
      case 'continue':
        // Input is suspended; the client's answer has to come through.
        this.#connection.resume();
        break;
      case 'done':
        if (step.data !== undefined) this.#connection.agreedTerms.authenticationData = step.data;
        this.#authenticated(step.username, undefined);
        break;
      case 'refused':
        this.refuse(credentialsRefusal(step.reasonCode));
        break;
    }
  }

  #authenticated(username: string | undefined, refusal: Refusal | undefined): void {
    if (this.#state !== AdmissionState.deciding) return;
    if (refusal !== undefined) {
      this.refuse(refusal);
      return;
    }
    this.#username = username;
    const { will } = this;
    if (will === undefined || this.#env.authorizer.canPublish(this, will.topic))
      this.#env.registry.claim(this);
    else this.refuse(WILL_REFUSAL);
  }

  granted(session: Session, present: boolean): void {
    if (this.#state !== AdmissionState.deciding) return;
    this.#decide();
    this.#present = present;
    session.handle = this.handle;
    this.#connection.accept(session);
    const admitted = this.#admitted;
    this.#admitted = undefined;
    admitted?.(undefined);
  }

  /** The door answers CONNECT with success. */
  writeConnack(): void {
    const { connect, terms } = this.#connection;
    if (connect === undefined || terms === undefined) return;
    const sent = this.#connection.send({
      type: 'connack',
      sessionPresent: this.#present,
      reasonCode: ReasonCode.success,
      properties: connackProperties(connect, terms, this.#env.connectionLimits),
    });
    if (sent) count(this.#env.counters, C.sentConnack);
    // DISCONNECT may not come before CONNACK [MQTT-3.14.0-1], so there is nothing left to say.
    else this.#connection.close(C.disconnectedProtocol);
    count(this.#env.counters, C.connectionsAccepted);
  }

  // The ways out.

  /** CONNECT is answered with why not and the connection closed. Without effect once it is decided. */
  refuse(refusal: Refusal): void {
    if (this.#state === AdmissionState.decided) return;
    // First of all: who is told of it below may close the client, which leads back here.
    this.#decide();
    const { connect } = this.#connection;
    count(this.#env.counters, refusal.counter);
    if (connect !== undefined && refusal.silent !== true) this.#sendRefusal(connect.version, refusal);
    const admitted = this.#admitted;
    this.#admitted = undefined;
    this.#env.onRefused(this.#connection, refusal.text, admitted !== undefined);
    this.#connection.closeReason = {
      code: refusal.reasonCode,
      counter: refusal.counter,
      text: refusal.text,
    };
    admitted?.(refusal);
    this.#connection.close(undefined);
  }

  /** The registry has no session for the client. */
  refused(reasonCode: number): void {
    this.refuse(claimRefusal(reasonCode));
  }

  /** The client's id goes to a newer connection. */
  evict(): void {
    this.#connection.disconnect({
      code: ReasonCode.sessionTakenOver,
      counter: C.disconnectedTakenOver,
      text: 'another connection with this client id took the session over',
    });
  }

  /** The connection is over: the door hears of it, and the client id is free. */
  leave(): void {
    this.#decide();
    this.#admitted = undefined;
    this.#enhanced?.cancel();
    this.#door?.closed();
    if (this.#connection.terms !== undefined) this.#env.registry.release(this);
  }

  /** AUTH of a client that is in. @throws ProtocolError */
  reAuthenticate(packet: AuthPacket): void {
    if (this.#enhanced === undefined) throw protocolError('AUTH without a method in CONNECT');
    this.#enhanced.reAuthenticate(packet);
  }

  #sendRefusal(version: ProtocolVersion, { reasonCode, text, properties }: Refusal): void {
    const sent =
      this.#connection.send(
        refusalConnack(version, reasonCode, { ...properties, reasonString: text }),
        version,
      ) || this.#connection.send(refusalConnack(version, reasonCode, { ...properties }), version);
    if (sent) count(this.#env.counters, C.sentConnack);
  }

  #decide(): void {
    this.#state = AdmissionState.decided;
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  #startDeadline(delayMs: number): void {
    this.#deadline?.cancel();
    this.#deadline = this.#env.timers.at(this.#env.clock.now() + delayMs, () => {
      this.#decide();
      count(this.#env.counters, C.connectionRefusedTimeout);
      this.#env.onError(this.#connection, new Error('the handshake did not end in time'));
      this.#connection.close(undefined);
    });
  }
}
