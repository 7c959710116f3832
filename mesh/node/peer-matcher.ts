import type { InterestMatcher } from '../forward/interest.js';

/**
 * What a peer wants in one version of its interest. The filters of all peers are in one trie, which knows the newest version alone;
 * when that becomes another one, those who still look at this one see what it was.
 */
export class PeerMatcher {
  #match: InterestMatcher;
  /** One function for as long as the version is in use. */
  readonly match: InterestMatcher = (topic) => this.#match(topic);

  constructor(newest: InterestMatcher) {
    this.#match = newest;
  }

  supersededBy(asItWas: InterestMatcher): void {
    this.#match = asItWas;
  }
}
