/**
 * The AUTH exchange of one connection [MQTT 5, section 4.12]: before CONNACK, and again whenever the client re-authenticates
 * with the same method.
 */
import type { Authenticator, EnhancedExchange, EnhancedStep } from '../contracts/security.js';
import type { AuthPacket } from '../protocol/packet.js';
import { protocolError } from '../protocol/frame-reader.js';
import { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';

export class EnhancedAuthentication {
  readonly method: string;
  readonly #begin: () => EnhancedExchange | undefined;
  readonly #onStep: (step: EnhancedStep) => void;
  #exchange: EnhancedExchange | undefined;

  /** @param onStep gets each answer of the method; never after `cancel`. */
  constructor(
    authenticator: Authenticator,
    who: { method: string; clientId: string; remoteAddress: string | undefined },
    onStep: (step: EnhancedStep) => void,
  ) {
    this.method = who.method;
    this.#begin = () => authenticator.startExchange(who.method, who.clientId, who.remoteAddress);
    this.#onStep = onStep;
  }

  /** Whether the client owes the next step, or a step is being worked on. */
  get running(): boolean {
    return this.#exchange !== undefined;
  }

  /** Begins with the data of CONNECT. @returns false where the method is not offered. */
  start(data: Uint8Array | undefined): boolean {
    this.#exchange = this.#begin();
    if (this.#exchange === undefined) return false;
    void this.#step(this.#exchange, data);
    return true;
  }

  /** @throws ProtocolError for AUTH with another method, or out of turn [MQTT-4.12.0-5, 4.12.1-1]. */
  receive(packet: AuthPacket, reAuthentication: boolean): void {
    if (packet.properties.authenticationMethod !== this.method) {
      throw protocolError('AUTH with a method that is not that of CONNECT');
    }
    const { authenticationData } = packet.properties;
    if (reAuthentication && packet.reasonCode === ReasonCode.reAuthenticate) {
      if (!this.start(authenticationData)) {
        throw new ProtocolError(ReasonCode.badAuthenticationMethod, 'the method is not offered any more');
      }
      return;
    }
    if (packet.reasonCode !== ReasonCode.continueAuthentication || this.#exchange === undefined) {
      throw protocolError('AUTH without an exchange that it belongs to');
    }
    void this.#step(this.#exchange, authenticationData);
  }

  cancel(): void {
    this.#exchange = undefined;
  }

  async #step(exchange: EnhancedExchange, data: Uint8Array | undefined): Promise<void> {
    const step = await exchange.step(data);
    if (this.#exchange !== exchange) return;
    if (step.kind !== 'continue') this.#exchange = undefined;
    this.#onStep(step);
  }
}
