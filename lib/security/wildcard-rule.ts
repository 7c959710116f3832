import type { Identity } from '../contracts/security.js';
import { levelsBeforeWildcard } from '../protocol/topic.js';

export interface WildcardRuleOptions {
  /** How many levels of a filter have to be literal before its first wildcard; 0: none. */
  readonly levelsMin?: number | undefined;
  /** User names that the rule is not for, compared exactly. */
  readonly exemptUsers?: readonly string[] | undefined;
}

/** How near the top a wildcard may stand, whatever topics its client may read. */
export class WildcardRule {
  readonly #levelsMin: number;
  readonly #exemptUsers: ReadonlySet<string>;

  constructor({ levelsMin = 0, exemptUsers = [] }: WildcardRuleOptions = {}) {
    this.#levelsMin = levelsMin;
    this.#exemptUsers = new Set(exemptUsers);
  }

  /** @param filter a valid topic filter, without `$share/<name>/`. */
  allows(who: Identity, filter: string): boolean {
    if (this.#levelsMin === 0 || levelsBeforeWildcard(filter) >= this.#levelsMin) return true;
    return who.username !== undefined && this.#exemptUsers.has(who.username);
  }
}
