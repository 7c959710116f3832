/** What is wanted over one link and not taken at its other end, either way: until a smaller interest takes its place, or the link ends. */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { Refusal } from '../interest/index.js';
import { FILTERS_PER_PEER_MAX_BYTES, FILTERS_PER_PEER_MAX_COUNT } from '../interest/limits.js';

export class InterestRefusals {
  readonly #gateway: GatewayId;
  readonly #logger: Logger;
  /** Of what the peer wants. */
  #here: Refusal | undefined;
  /** Of what is wanted here. */
  #there: Refusal | undefined;

  constructor(gateway: GatewayId, logger: Logger) {
    this.#gateway = gateway;
    this.#logger = logger;
  }

  /** What the peer wants is not taken here. */
  get isHere(): boolean {
    return this.#here !== undefined;
  }

  refusedHere(refusal: Refusal): void {
    this.#here = refusal;
    this.#warn('it wants more than is taken of one gateway', refusal);
  }

  refusedThere(refusal: Refusal): void {
    this.#there = refusal;
    this.#warn('it does not take what is wanted here', refusal);
  }

  takenHere(): void {
    this.#here = undefined;
  }

  takenThere(): void {
    this.#there = undefined;
  }

  linkDown(): void {
    this.#here = undefined;
    this.#there = undefined;
  }

  /** What is wrong, for people; undefined: nothing is. @param isStanding nothing is sent to the peer at all */
  textOf(isStanding: boolean): string | undefined {
    if (this.#here !== undefined) {
      const sent = isStanding ? 'nothing is sent to it' : 'what it wanted before is sent to it';
      return `it wants more than is taken of one gateway, ${refusalText(this.#here)}: ${sent}; narrow its mesh.importFilters`;
    }
    if (this.#there === undefined) return undefined;
    return `it does not take what is wanted here, ${refusalText(this.#there)}: it sends nothing more than before; narrow mesh.importFilters`;
  }

  #warn(message: string, refusal: Refusal): void {
    this.#logger.warn(message, {
      gateway: this.#gateway,
      reason: refusalText(refusal),
      narrow: 'mesh.importFilters',
    });
  }
}

function refusalText(refusal: Refusal): string {
  return refusal === 'tooManyFilters'
    ? `more than ${FILTERS_PER_PEER_MAX_COUNT} filters`
    : `filters of more than ${FILTERS_PER_PEER_MAX_BYTES} bytes`;
}
