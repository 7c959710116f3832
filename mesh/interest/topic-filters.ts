/** What may leave this gateway to others, and what may come in: lists of topic filters. */
import { SubscriptionTrie } from '../../lib/routing/subscription-trie.js';

export class TopicFilters {
  readonly #trie = new SubscriptionTrie<{ slot: number }>();
  readonly #all: boolean;

  /** @param filters valid ones, without `$share/<group>/` */
  constructor(readonly filters: readonly string[]) {
    this.#all = filters.includes('#');
    for (const filter of filters) this.#trie.add(filter, { slot: 0 });
  }

  /** Whether one of them matches the topic. What begins with `$` stays where it is, whatever they say. */
  allows(topic: string): boolean {
    if (topic.startsWith('$')) return false;
    if (this.#all) return true;
    let found = false;
    this.#trie.match(topic, () => {
      found = true;
    });
    return found;
  }
}
