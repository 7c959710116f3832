/**
 * A set of topic filters as a trie of levels, asked three questions: does one of them match a topic, do they together
 * contain another filter, does one of them overlap it. Wildcards in the first level never stand for a level that
 * begins with `$` [MQTT-4.7.2-1]; `x/#` also matches `x` [MQTT 5, section 4.7.1.2].
 */

interface FilterNode {
  children: Map<string, FilterNode> | undefined;
  /** The branch of `+`. */
  plus: FilterNode | undefined;
  /** A filter ends here. */
  end: boolean;
  /** A filter ends here with `/#` (in the root: is `#`). */
  hash: boolean;
}

const DOLLAR = 0x24;

const createNode = (): FilterNode => ({ children: undefined, plus: undefined, end: false, hash: false });

export class FilterSet {
  readonly #root = createNode();
  readonly #filters: string[] = [];
  readonly #levels: (readonly string[])[] = [];

  /** The filters, in the order in which they were added. */
  get filters(): readonly string[] {
    return this.#filters;
  }

  /** @param filter a valid topic filter. */
  add(filter: string): void {
    const levels = filter.split('/');
    this.#filters.push(filter);
    this.#levels.push(levels);
    let node = this.#root;
    for (const level of levels) {
      if (level === '#') {
        node.hash = true;
        return;
      }
      node = level === '+' ? (node.plus ??= createNode()) : childOf(node, level);
    }
    node.end = true;
  }

  /** Whether one of the filters matches `topic`. Time grows with the filters that share its levels, not with its length. */
  matches(topic: string): boolean {
    const wild = topic.charCodeAt(0) !== DOLLAR;
    return (wild && this.#root.hash) || matchLevel(this.#root, topic, 0, wild);
  }

  /**
   * Whether every topic that `filter` matches is matched by one of the set, also where it takes several of them: `a` and `a/+/#`
   * contain `a/#`. Exact, because there are always more possible levels than those that filters name: what holds for a level
   * that nobody names holds for all, so `+` in the filter needs only follow the branches of `+`.
   */
  contains(filter: string): boolean {
    let active: FilterNode[] = [this.#root];
    let first = true;
    for (const level of filter.split('/')) {
      // The parent of `#` and of `/#` is the empty topic, which there is not [MQTT-4.7.3-1].
      if (level === '#') return containsRest(active, first || filter === '/#');
      const wild = !(first && level.charCodeAt(0) === DOLLAR);
      if (wild && active.some((node) => node.hash)) return true;
      active = step(active, level, wild);
      if (active.length === 0) return false;
      first = false;
    }
    return active.some((node) => node.end || node.hash);
  }

  /** Whether there is a topic that both `filter` and one of the set match. */
  overlaps(filter: string): boolean {
    const levels = filter.split('/');
    return this.#levels.some((each) => intersect(each, levels) !== undefined);
  }
}

function childOf(node: FilterNode, level: string): FilterNode {
  node.children ??= new Map();
  let child = node.children.get(level);
  if (child === undefined) {
    child = createNode();
    node.children.set(level, child);
  }
  return child;
}

/** @param start where the level begins that `node`'s branches are compared with. */
function matchLevel(node: FilterNode, topic: string, start: number, wild: boolean): boolean {
  const slash = topic.indexOf('/', start);
  const end = slash === -1 ? topic.length : slash;
  const child = node.children?.get(topic.slice(start, end));
  if (child !== undefined && matchRest(child, topic, end)) return true;
  return wild && node.plus !== undefined && matchRest(node.plus, topic, end);
}

function matchRest(node: FilterNode, topic: string, end: number): boolean {
  if (node.hash) return true;
  return end === topic.length ? node.end : matchLevel(node, topic, end + 1, true);
}

function step(active: readonly FilterNode[], level: string, wild: boolean): FilterNode[] {
  const next: FilterNode[] = [];
  for (const node of active) {
    if (wild && node.plus !== undefined) next.push(node.plus);
    const child = level === '+' ? undefined : node.children?.get(level);
    if (child !== undefined) next.push(child);
  }
  return next;
}

/** Whether `active` contains whatever may follow, and, unless that is to be left out, the parent itself. */
function containsRest(start: readonly FilterNode[], withoutParent: boolean): boolean {
  let active = start;
  let parentCounts = !withoutParent;
  while (active.length > 0) {
    if (active.some((node) => node.hash)) return true;
    if (parentCounts && !active.some((node) => node.end)) return false;
    active = step(active, '+', true);
    parentCounts = true;
  }
  return false;
}

/** The filter that matches exactly the topics that both match (there is always one), or undefined where no topic does. */
export function intersectFilters(one: string, other: string): string | undefined {
  return intersect(one.split('/'), other.split('/'));
}

function intersect(a: readonly string[], b: readonly string[]): string | undefined {
  const common: string[] = [];
  for (let index = 0; ; index++) {
    const left = a[index];
    const right = b[index];
    const first = index === 0;
    if (left === '#') return joinRest(common, b, index);
    if (right === '#') return joinRest(common, a, index);
    if (left === undefined && right === undefined) return common.join('/');
    if (left === undefined || right === undefined) return undefined;
    const level = intersectLevels(left, right, first);
    if (level === undefined) return undefined;
    common.push(level);
  }
}

function intersectLevels(left: string, right: string, first: boolean): string | undefined {
  if (left === right) return left;
  const named = left === '+' ? right : right === '+' ? left : undefined;
  return named === undefined || (first && named.charCodeAt(0) === DOLLAR) ? undefined : named;
}

function joinRest(common: string[], levels: readonly string[], index: number): string | undefined {
  if (index === 0 && levels[0]?.charCodeAt(0) === DOLLAR) return undefined;
  // `+` and `/#` have nothing but the empty topic in common, which there is not [MQTT-4.7.3-1].
  return [...common, ...levels.slice(index)].join('/') || undefined;
}
