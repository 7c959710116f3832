/**
 * Values under topic names, found by topic filter: the retained messages, and the cached routes that a changed
 * subscription makes stale. A walk visits only the branches that the filter can match, so one exact filter costs one look-up
 * per level however many topics there are.
 *
 *     a ─┬─ b ── 1      forEachMatch('a/+')  visits a/b, a/c
 *        └─ c ── 2      forEachMatch('a/#')  visits a, a/b, a/c
 */

/** Most nodes have one child (`sensor17/temperature`) or none. A Map of one entry takes nearly 200 bytes, so the only child stands in its place. */
class TreeNode<V> {
  children: Map<string, TreeNode<V>> | TreeNode<V> | undefined = undefined;
  value: V | undefined = undefined;

  constructor(readonly level: string) {}

  child(level: string): TreeNode<V> | undefined {
    const { children } = this;
    if (children instanceof TreeNode) return children.level === level ? children : undefined;
    return children?.get(level);
  }

  add(level: string): TreeNode<V> {
    const { children } = this;
    const child = new TreeNode<V>(level);
    if (children === undefined) this.children = child;
    else if (children instanceof Map) children.set(level, child);
    else
      this.children = new Map([
        [children.level, children],
        [level, child],
      ]);
    return child;
  }

  /** @param level of a child that is there */
  remove(level: string): void {
    const { children } = this;
    if (!(children instanceof Map)) {
      this.children = undefined;
      return;
    }
    children.delete(level);
    if (children.size > 1) return;
    for (const last of children.values()) this.children = last;
  }
}

export class TopicTree<V> {
  #root = new TreeNode<V>('');
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(topic: string): V | undefined {
    let node: TreeNode<V> | undefined = this.#root;
    for (const level of topic.split('/')) {
      node = node.child(level);
      if (node === undefined) return undefined;
    }
    return node.value;
  }

  set(topic: string, value: V): void {
    let node = this.#root;
    for (const level of topic.split('/')) node = node.child(level) ?? node.add(level);
    if (node.value === undefined) this.#size++;
    node.value = value;
  }

  /** Also removes the branches that become empty, so that topics which come and go leave nothing behind. */
  delete(topic: string): boolean {
    const levels = topic.split('/');
    const path: TreeNode<V>[] = [this.#root];
    let node = this.#root;
    for (const level of levels) {
      const child = node.child(level);
      if (child === undefined) return false;
      path.push(child);
      node = child;
    }
    if (node.value === undefined) return false;
    node.value = undefined;
    this.#size--;
    for (let depth = levels.length; depth > 0; depth--) {
      const current = path[depth];
      const parent = path[depth - 1];
      if (current === undefined || parent === undefined) break;
      if (current.value !== undefined || current.children !== undefined) break;
      parent.remove(current.level);
    }
    return true;
  }

  clear(): void {
    this.#root = new TreeNode<V>('');
    this.#size = 0;
  }

  /**
   * Calls `visit` for every topic that `filter` matches, without order. Wildcards at the first level do not match topics
   * that begin with `$` [MQTT-4.7.2-1]. The tree may not be changed from inside.
   */
  forEachMatch(filter: string, visit: (value: V) => void): void {
    this.#match(this.#root, filter.split('/'), 0, visit);
  }

  /** Calls `visit` for every topic, those that begin with `$` too, without order. The tree may not be changed from inside. */
  forEach(visit: (value: V) => void): void {
    this.#visitAll(this.#root, false, visit);
  }

  #match(node: TreeNode<V>, levels: readonly string[], depth: number, visit: (value: V) => void): void {
    const level = levels[depth];
    if (level === undefined) {
      if (node.value !== undefined) visit(node.value);
      return;
    }
    if (level === '#') {
      // Visits the parent level too: "a/#" matches "a" [MQTT-4.7.1-2].
      this.#visitAll(node, depth === 0, visit);
      return;
    }
    const { children } = node;
    if (level !== '+') {
      const child = node.child(level);
      if (child !== undefined) this.#match(child, levels, depth + 1, visit);
    } else if (children instanceof TreeNode) {
      if (depth > 0 || !isOwn(children)) this.#match(children, levels, depth + 1, visit);
    } else if (children !== undefined) {
      for (const child of children.values())
        if (depth > 0 || !isOwn(child)) this.#match(child, levels, depth + 1, visit);
    }
  }

  #visitAll(node: TreeNode<V>, top: boolean, visit: (value: V) => void): void {
    if (node.value !== undefined) visit(node.value);
    const { children } = node;
    if (children instanceof TreeNode) {
      if (!top || !isOwn(children)) this.#visitAll(children, false, visit);
    } else if (children !== undefined) {
      for (const child of children.values()) if (!top || !isOwn(child)) this.#visitAll(child, false, visit);
    }
  }
}

/** At the first level: topics that are the gateway's own. */
function isOwn({ level }: TreeNode<unknown>): boolean {
  return level.startsWith('$');
}
