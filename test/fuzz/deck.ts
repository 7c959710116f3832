/** What is played against the gateway, so that nothing of it is left to chance: every packet, in every version, wrong in every way. */
import type { TypeName, Version } from '../support/wire.js';
import { malform, MALFORMATION_NAMES, type MalformationName } from './malformations.js';
import { PACKETS, type Parts, partsOf } from './parts.js';
import type { Random } from './random.js';

export interface Card {
  readonly version: Version;
  readonly type: TypeName;
  readonly malformation: MalformationName;
}

export const nameOf = ({ version, type, malformation }: Card): string => `${version} ${type} ${malformation}`;

const VERSIONS: readonly Version[] = [3, 4, 5];
/** A packet of an optional shape may need some tries until a malformation has something to work on. */
const TRIES = 20;
/** Of one that exists; among a hundred thousand there is one that needs many. */
const TRIES_MAX = 1000;

function draw(card: Card, random: Random, triesMax = TRIES): Buffer | null {
  for (let tries = 0; tries < triesMax; tries++) {
    const parts: Parts = partsOf(card.type, card.version, random);
    const bytes = malform(card.malformation, parts, random);
    if (bytes !== null && bytes.length > 0) return bytes;
  }
  return null;
}

/** Deals each card once before any comes again. */
export class Deck {
  readonly cards: readonly Card[];
  readonly #random: Random;
  #left: Card[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.cards = VERSIONS.flatMap((version) =>
      PACKETS.flatMap((type) => MALFORMATION_NAMES.map((malformation) => ({ version, type, malformation }))),
    ).filter((card) => draw(card, random) !== null);
  }

  deal(): Card {
    if (this.#left.length === 0) this.#left = this.#random.shuffle(this.cards);
    const card = this.#left.pop();
    if (card === undefined) throw new RangeError('the deck is empty');
    return card;
  }

  bytesOf(card: Card): Buffer {
    const bytes = draw(card, this.#random, TRIES_MAX);
    if (bytes === null) throw new RangeError(`${nameOf(card)} does not exist`);
    return bytes;
  }
}
