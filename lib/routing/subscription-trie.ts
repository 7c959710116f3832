/**
 * The subscriptions of a gateway by topic filter. A topic is matched by walking its levels: at each node the exact child,
 * the `+` child and the `#` leaf. The depth of a filter is bounded by mqtt.topicMaxLevels, so a walk visits at most
 * 2^levels nodes and in practice a handful.
 */

/** What the trie stores; `slot` is the trie's own and makes removal O(1). */
export interface TrieEntry {
  slot: number;
}

interface TrieNode<E extends TrieEntry> {
  children: Map<string, TrieNode<E>> | undefined;
  plus: TrieNode<E> | undefined;
  hash: TrieNode<E> | undefined;
  entries: E[];
}

export class SubscriptionTrie<E extends TrieEntry> {
  readonly #root = createNode<E>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(filter: string, entry: E): void {
    let node = this.#root;
    for (const level of filter.split('/')) node = childOf(node, level);
    entry.slot = node.entries.length;
    node.entries.push(entry);
    this.#size++;
  }

  /** @returns false where the entry was not under this filter. */
  remove(filter: string, entry: E): boolean {
    const path: TrieNode<E>[] = [this.#root];
    const levels = filter.split('/');
    let node: TrieNode<E> | undefined = this.#root;
    for (const level of levels) {
      node = existingChild(node, level);
      if (node === undefined) return false;
      path.push(node);
    }
    if (node.entries[entry.slot] !== entry) return false;
    const last = node.entries.pop();
    if (last !== undefined && last !== entry) {
      node.entries[entry.slot] = last;
      last.slot = entry.slot;
    }
    this.#size--;
    prune(path, levels);
    return true;
  }

  /** Calls `visit` for every entry whose filter matches `topic`, wildcards never for `$` topics [MQTT-4.7.2-1]. */
  match(topic: string, visit: (entry: E) => void): void {
    const levels = topic.split('/');
    walk(this.#root, levels, 0, topic.startsWith('$'), visit);
  }
}

function createNode<E extends TrieEntry>(): TrieNode<E> {
  return { children: undefined, plus: undefined, hash: undefined, entries: [] };
}

function childOf<E extends TrieEntry>(node: TrieNode<E>, level: string): TrieNode<E> {
  if (level === '+') return (node.plus ??= createNode());
  if (level === '#') return (node.hash ??= createNode());
  node.children ??= new Map();
  let child = node.children.get(level);
  if (child === undefined) {
    child = createNode();
    node.children.set(level, child);
  }
  return child;
}

function existingChild<E extends TrieEntry>(node: TrieNode<E>, level: string): TrieNode<E> | undefined {
  if (level === '+') return node.plus;
  if (level === '#') return node.hash;
  return node.children?.get(level);
}

function isEmpty<E extends TrieEntry>(node: TrieNode<E>): boolean {
  return (
    node.entries.length === 0 &&
    node.plus === undefined &&
    node.hash === undefined &&
    (node.children === undefined || node.children.size === 0)
  );
}

function prune<E extends TrieEntry>(path: readonly TrieNode<E>[], levels: readonly string[]): void {
  for (let depth = levels.length; depth > 0; depth--) {
    const node = path[depth];
    const parent = path[depth - 1];
    const level = levels[depth - 1];
    if (node === undefined || parent === undefined || level === undefined || !isEmpty(node)) return;
    if (level === '+') parent.plus = undefined;
    else if (level === '#') parent.hash = undefined;
    else parent.children?.delete(level);
  }
}

function walk<E extends TrieEntry>(
  node: TrieNode<E>,
  levels: readonly string[],
  depth: number,
  dollar: boolean,
  visit: (entry: E) => void,
): void {
  const wildcards = depth > 0 || !dollar;
  if (wildcards && node.hash !== undefined) for (const entry of node.hash.entries) visit(entry);
  const level = levels[depth];
  if (level === undefined) {
    for (const entry of node.entries) visit(entry);
    return;
  }
  const child = node.children?.get(level);
  if (child !== undefined) walk(child, levels, depth + 1, dollar, visit);
  if (wildcards && node.plus !== undefined) walk(node.plus, levels, depth + 1, dollar, visit);
}
