/**
 * The AUTH packets of one connection [MQTT 5, section 4.12]: an exchange before CONNACK, and another whenever the client
 * re-authenticates with the same method, which has to prove the same user.
 */
import type { Authenticator, EnhancedExchange, EnhancedStep } from '../contracts/security.js';
import { protocolError } from '../protocol/frame-reader.js';
import type { AuthPacket, Properties } from '../protocol/packet.js';
import { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { count, C, type Counters } from '../telemetry/counters.js';
import type { PacketLink } from './packet-lane.js';

export interface EnhancedAuthenticationOptions {
  readonly authenticator: Authenticator;
  readonly counters: Counters;
  readonly link: Pick<PacketLink, 'answer' | 'disconnect'>;
  readonly method: string;
  readonly clientId: string;
  readonly remoteAddress: string | undefined;
}

type OnStep = (step: EnhancedStep) => void;

export class EnhancedAuthentication {
  readonly #options: EnhancedAuthenticationOptions;
  #exchange: EnhancedExchange | undefined;
  #onStep: OnStep | undefined;
  /** Whom the exchange of CONNECT has proved. */
  #username: string | undefined;

  constructor(options: EnhancedAuthenticationOptions) {
    this.#options = options;
  }

  /** Whether the client owes the next step, or a step is being worked on. */
  get running(): boolean {
    return this.#exchange !== undefined;
  }

  /**
   * Begins with the data of CONNECT. @param onStep gets each answer of the method; of `continue` AUTH was sent already. Never
   * after `cancel`. @returns false where the method is not offered.
   */
  start(data: Uint8Array | undefined, onStep: OnStep): boolean {
    const { authenticator, method, clientId, remoteAddress } = this.#options;
    this.#exchange = authenticator.startExchange(method, clientId, remoteAddress);
    this.#onStep = onStep;
    if (this.#exchange === undefined) return false;
    void this.#step(this.#exchange, data);
    return true;
  }

  /** The client's next step. @throws ProtocolError for another method, or out of turn [MQTT-4.12.0-5, 4.12.1-1]. */
  receive(packet: AuthPacket): void {
    this.#checkMethod(packet);
    if (packet.reasonCode !== ReasonCode.continueAuthentication || this.#exchange === undefined) {
      throw protocolError('AUTH without an exchange that it belongs to');
    }
    void this.#step(this.#exchange, packet.properties.authenticationData);
  }

  /** AUTH of a client that is connected: it begins again, or goes on with that. @throws ProtocolError as `receive` */
  reAuthenticate(packet: AuthPacket): void {
    if (packet.reasonCode !== ReasonCode.reAuthenticate) {
      this.receive(packet);
      return;
    }
    this.#checkMethod(packet);
    if (!this.start(packet.properties.authenticationData, (step) => this.#onReAuthentication(step))) {
      throw new ProtocolError(ReasonCode.badAuthenticationMethod, 'the method is not offered any more');
    }
  }

  cancel(): void {
    this.#exchange = undefined;
  }

  #checkMethod(packet: AuthPacket): void {
    if (packet.properties.authenticationMethod !== this.#options.method) {
      throw protocolError('AUTH with a method that is not that of CONNECT');
    }
  }

  async #step(exchange: EnhancedExchange, data: Uint8Array | undefined): Promise<void> {
    const step = await exchange.step(data);
    if (this.#exchange !== exchange) return;
    if (step.kind === 'continue') {
      if (!this.#send(ReasonCode.continueAuthentication, step.data)) return;
    } else {
      this.#exchange = undefined;
    }
    if (step.kind === 'done') this.#username ??= step.username;
    this.#onStep?.(step);
  }

  #onReAuthentication(step: EnhancedStep): void {
    if (step.kind === 'continue') return;
    if (step.kind === 'done' && step.username === this.#username) {
      this.#send(ReasonCode.success, step.data);
      return;
    }
    this.#options.link.disconnect({
      code: ReasonCode.notAuthorized,
      counter: C.disconnectedAdministrative,
      text: 're-authentication failed',
    });
  }

  /** @returns false where the client cannot be sent it: the connection has ended then. */
  #send(reasonCode: number, data: Uint8Array | undefined): boolean {
    const { counters, link, method } = this.#options;
    const properties: Properties = { authenticationMethod: method };
    if (data !== undefined) properties.authenticationData = data;
    const sent = link.answer({ type: 'auth', reasonCode, properties });
    if (sent) count(counters, C.sentAuth);
    return sent;
  }
}
