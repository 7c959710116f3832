/**
 * Values under topic names, found by topic filter: the retained messages, and the cached routes that a changed
 * subscription makes stale. A walk visits only the branches that the filter can match, so one exact filter costs one look-up
 * per level however many topics there are.
 *
 *     a ─┬─ b ── 1      forEachMatch('a/+')  visits a/b, a/c
 *        └─ c ── 2      forEachMatch('a/#')  visits a, a/b, a/c
 */
interface TreeNode<V> {
  children: Map<string, TreeNode<V>> | undefined;
  value: V | undefined;
}

export class TopicTree<V> {
  #root: TreeNode<V> = { children: undefined, value: undefined };
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(topic: string): V | undefined {
    let node: TreeNode<V> | undefined = this.#root;
    for (const level of topic.split('/')) {
      node = node.children?.get(level);
      if (node === undefined) return undefined;
    }
    return node.value;
  }

  set(topic: string, value: V): void {
    let node = this.#root;
    for (const level of topic.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = { children: undefined, value: undefined };
        node.children.set(level, child);
      }
      node = child;
    }
    if (node.value === undefined) this.#size++;
    node.value = value;
  }

  /** Also removes the branches that become empty, so that topics which come and go leave nothing behind. */
  delete(topic: string): boolean {
    const levels = topic.split('/');
    const path: TreeNode<V>[] = [this.#root];
    let node = this.#root;
    for (const level of levels) {
      const child = node.children?.get(level);
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
      const level = levels[depth - 1];
      if (current === undefined || parent === undefined || level === undefined) break;
      if (current.value !== undefined || (current.children?.size ?? 0) > 0) break;
      parent.children?.delete(level);
    }
    return true;
  }

  clear(): void {
    this.#root = { children: undefined, value: undefined };
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
    if (node.children === undefined) return;
    if (level === '+') {
      for (const [name, child] of node.children) {
        if (depth === 0 && name.startsWith('$')) continue;
        this.#match(child, levels, depth + 1, visit);
      }
      return;
    }
    const child = node.children.get(level);
    if (child !== undefined) this.#match(child, levels, depth + 1, visit);
  }

  #visitAll(node: TreeNode<V>, top: boolean, visit: (value: V) => void): void {
    if (node.value !== undefined) visit(node.value);
    if (node.children === undefined) return;
    for (const [name, child] of node.children) {
      if (top && name.startsWith('$')) continue;
      this.#visitAll(child, false, visit);
    }
  }
}
