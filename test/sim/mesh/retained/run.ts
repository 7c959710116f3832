/**
 * Random sets and removals on gateways whose links break at any time, in the middle of rounds and streams, some of which are put out of the
 * roster and taken back; then everything heals, and what all of them retain is judged.
 */
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { compareVersions, type RetainedVersion } from '../../../../lib/contracts/streams.js';
import { Random } from '../../random.js';
import { keyOf, type LogRecord, type Mutant, type NodeWorld, SimNode } from './node.js';

export interface Situation {
  readonly seed: number;
  readonly mutant?: Mutant;
  readonly evictions: boolean;
  /** Few: they go before everybody has them. */
  readonly tombstonesMaxCount: number;
  readonly steps?: number;
}

export interface Outcome {
  /** Of everything that happened: the same for the same seed. */
  readonly digest: string;
  readonly violations: readonly string[];
  readonly drops: number;
  readonly forced: number;
  readonly discards: number;
  readonly suspects: number;
  readonly cuts: number;
}

interface Due {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

interface Link {
  number: number;
  isUp: boolean;
}

const TOPICS = 10;
const STEP_MS = 4_000;
const HEALED_MS = 900_000;
type Lane = 'sync' | 'stream';

class World implements NodeWorld {
  readonly nodes: SimNode[] = [];
  readonly mutant: Mutant;
  readonly tombstonesMaxCount: number;
  readonly violations: string[] = [];
  cuts = 0;
  readonly #random: Random;
  readonly #links = new Map<string, Link>();
  readonly #laneFreeAt = new Map<string, number>();
  readonly #members = new Set<GatewayId>();
  readonly #superseded = new Map<string, { by: string; isRemoval: boolean }[]>();
  readonly #newest = new Map<string, RetainedVersion>();
  readonly #discarded = new Set<string>();
  #queue: Due[] = [];
  #order = 0;
  #now = 0;
  #rosterVersion = 1;
  #hash = 0x811c9dc5;

  constructor(readonly situation: Situation) {
    this.mutant = situation.mutant ?? 'none';
    this.tombstonesMaxCount = situation.tombstonesMaxCount;
    this.#random = new Random(situation.seed, 'retained');
    const count = this.#random.integer(2, 5);
    for (let n = 0; n < count; n++) this.nodes.push(new SimNode(n, this));
    for (const { id } of this.nodes) this.#members.add(id);
  }

  get digest(): string {
    return (this.#hash >>> 0).toString(16);
  }

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.#random.float();
  }

  membersBut(id: GatewayId): GatewayId[] {
    return [...this.#members].filter((member) => member !== id);
  }

  rosterVersion(): number {
    return this.#rosterVersion;
  }

  whenDurable(done: () => void): void {
    this.#after(this.#random.delay(20), done);
  }

  issued(
    version: RetainedVersion,
    topic: string,
    known: RetainedVersion | undefined,
    isRemoval: boolean,
  ): void {
    const newest = this.#newest.get(topic);
    if (newest === undefined || compareVersions(newest, version) < 0) this.#newest.set(topic, version);
    if (known === undefined) return;
    const by = this.#superseded.get(keyOf(known)) ?? [];
    this.#superseded.set(keyOf(known), [...by, { by: keyOf(version), isRemoval }]);
  }

  discarded(version: RetainedVersion): void {
    this.#discarded.add(keyOf(version));
  }

  send(from: SimNode, to: GatewayId, frame: Uint8Array): boolean {
    const node = this.nodes.find(({ id }) => id === to);
    if (node === undefined) throw new Error('no such gateway');
    for (let at = 0; at < frame.length; at += 7) this.#note(frame[at] ?? 0);
    this.#carry(from, node, 'sync', () => node.syncWith(from.id).received(frame));
    if (this.#random.chance(0.8)) return true;
    const link = this.#linkOf(from, node);
    const { number } = link;
    this.#after(this.#random.delay(50), () => {
      if (link.isUp && link.number === number) from.syncWith(to).drained();
    });
    return false;
  }

  run(): void {
    for (const a of this.nodes) for (const b of this.nodes) if (a.id < b.id) this.#connect(a, b);
    for (let step = 0; step < (this.situation.steps ?? 120); step++) {
      this.#act();
      this.#runUntil(this.#now + this.#random.delay(STEP_MS));
    }
    for (const node of this.nodes) this.#readmit(node);
    for (const a of this.nodes) for (const b of this.nodes) if (a.id < b.id) this.#connect(a, b);
    this.#runUntil(this.#now + HEALED_MS);
    this.#judge();
  }

  #act(): void {
    const [first] = this.nodes;
    if (first === undefined) return;
    const node = this.nodes[this.#random.integer(0, this.nodes.length - 1)] ?? first;
    const other = this.nodes[this.#random.integer(0, this.nodes.length - 1)] ?? first;
    const topic = `t/${this.#random.integer(0, TOPICS - 1)}`;
    const evict = this.situation.evictions ? 4 : 0;
    switch (
      this.#random.weighted({ set: 30, remove: 30, cut: 14, connect: 18, restart: 4, evict, readmit: evict })
    ) {
      case 'set':
        this.#publish(node, topic, `${node.log.length}`);
        break;
      case 'remove':
        this.#publish(node, topic, undefined);
        break;
      case 'cut':
        if (node !== other) this.#cut(node, other);
        break;
      case 'connect':
        if (node !== other) this.#connect(node, other);
        break;
      case 'restart':
        // Only the epoch: what it retains is durable here.
        node.epoch = { counter: node.epoch.counter + 1, nonce: node.epoch.nonce };
        break;
      case 'evict':
        this.#evict(node);
        break;
      case 'readmit':
        this.#readmit(node);
        break;
    }
  }

  #publish(node: SimNode, topic: string, payload: string | undefined): void {
    const { length } = node.log;
    node.publish(topic, payload);
    const record = node.log[length];
    if (record === undefined) return;
    for (const peer of this.nodes)
      if (peer !== node && this.#linkOf(node, peer).isUp) this.#stream(node, peer, record);
  }

  #evict(node: SimNode): void {
    if (this.#members.size <= 2 || !this.#members.delete(node.id)) return;
    this.#rosterVersion++;
    for (const other of this.nodes) {
      if (other === node) continue;
      this.#cut(node, other);
      other.keeper.memberLeft(node.id);
    }
  }

  /** Its stream begins anew. */
  #readmit(node: SimNode): void {
    if (this.#members.has(node.id)) return;
    this.#members.add(node.id);
    this.#rosterVersion++;
    for (const other of this.nodes) if (other !== node) other.covered.set(node.id, node.log.length);
  }

  #connect(a: SimNode, b: SimNode): void {
    const link = this.#linkOf(a, b);
    if (link.isUp || !this.#members.has(a.id) || !this.#members.has(b.id)) return;
    link.isUp = true;
    link.number++;
    b.syncWith(a.id).start();
    a.syncWith(b.id).start();
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      for (const record of from.log.slice(to.covered.get(from.id) ?? 0)) this.#stream(from, to, record);
  }

  #cut(a: SimNode, b: SimNode): void {
    const link = this.#linkOf(a, b);
    if (!link.isUp) return;
    this.cuts++;
    link.isUp = false;
    link.number++;
    a.syncWith(b.id).stop();
    b.syncWith(a.id).stop();
  }

  #stream(from: SimNode, to: SimNode, record: LogRecord): void {
    this.#carry(from, to, 'stream', () => {
      if (record.version.sequence === (to.covered.get(from.id) ?? 0) + 1) to.streamed(record);
    });
  }

  /** In order within a lane, as long as the link stands; the lanes overtake each other. */
  #carry(from: SimNode, to: SimNode, lane: Lane, arrive: () => void): void {
    const link = this.#linkOf(from, to);
    const { number } = link;
    const key = `${from.id} ${to.id} ${lane}`;
    const slow = lane === 'stream' ? 20_000 : 400;
    const at = Math.max(this.#now + this.#random.delay(slow), this.#laneFreeAt.get(key) ?? 0);
    this.#laneFreeAt.set(key, at);
    this.#at(at, () => {
      if (link.isUp && link.number === number) arrive();
    });
  }

  #linkOf(a: SimNode, b: SimNode): Link {
    const key = a.id < b.id ? `${a.id} ${b.id}` : `${b.id} ${a.id}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = { number: 0, isUp: false };
      this.#links.set(key, link);
    }
    return link;
  }

  #after(delayMs: number, run: () => void): void {
    this.#at(this.#now + delayMs, run);
  }

  #at(at: number, run: () => void): void {
    const due = { at, order: this.#order++, run };
    let index = this.#queue.length;
    while (index > 0 && (this.#queue[index - 1]?.at ?? 0) > at) index--;
    this.#queue.splice(index, 0, due);
  }

  #runUntil(end: number): void {
    for (;;) {
      const at = Math.min(this.#queue[0]?.at ?? Infinity, this.#nextDeadline());
      if (at > end) break;
      this.#now = Math.max(this.#now, at);
      for (const { syncs } of this.nodes) for (const sync of syncs.values()) sync.tick(this.#now);
      while ((this.#queue[0]?.at ?? Infinity) <= this.#now) this.#queue.shift()?.run();
    }
    this.#now = Math.max(this.#now, end);
  }

  #nextDeadline(): number {
    let at = Infinity;
    for (const { syncs } of this.nodes)
      for (const sync of syncs.values()) at = Math.min(at, sync.nextDeadlineMs ?? Infinity);
    return at;
  }

  #note(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }

  // What has to be true at the end.

  #judge(): void {
    const [first] = this.nodes;
    if (first === undefined) return;
    for (let n = 0; n < TOPICS; n++) {
      const topic = `t/${n}`;
      const shown = this.nodes.map((node) => this.#shownBy(node, topic));
      if (shown.some((one) => one !== shown[0])) this.violations.push(`${topic}: ${shown.join(' | ')}`);
      for (const node of this.nodes) this.#judgeTopic(node, topic);
    }
    for (const node of this.nodes) this.#judgeWinners(node);
  }

  #shownBy(node: SimNode, topic: string): string {
    const has = node.store.get(topic);
    return has?.payload === undefined ? 'nothing' : keyOf(has.version);
  }

  #judgeTopic(node: SimNode, topic: string): void {
    const has = node.store.get(topic);
    if (has?.payload !== undefined && this.#wasRemoved(keyOf(has.version)))
      this.violations.push(
        `${topic}: ${keyOf(has.version)} was removed and is back at ${node.id.slice(0, 2)}`,
      );
    const newest = this.#newest.get(topic);
    const isPlain = !this.situation.evictions && this.nodes.every(({ keeper }) => keeper.forcedCount === 0);
    if (!isPlain || newest === undefined) return;
    const expected = this.#isRemoval(newest) ? 'nothing' : keyOf(newest);
    if (this.#shownBy(node, topic) !== expected)
      this.violations.push(
        `${topic}: ${this.#shownBy(node, topic)} at ${node.id.slice(0, 2)}, newest is ${expected}`,
      );
  }

  /**
   * Whether somebody who knew of it, or of what came in its place, removed it. Not counted: a removal that was nowhere but where a message
   * came in its place that was discarded, as its gateway had to resync. That one is lost with what came before it.
   */
  #wasRemoved(key: string): boolean {
    return (this.#superseded.get(key) ?? []).some(
      ({ by, isRemoval }) => !this.#isLost(by) && (isRemoval || this.#wasRemoved(by)),
    );
  }

  #isLost(key: string): boolean {
    const [, origin] = key.split(' ');
    return (
      this.#discarded.has(key) ||
      (this.#superseded.get(key) ?? []).some(({ by }) => by.split(' ')[1] === origin && this.#isLost(by))
    );
  }

  #isRemoval(version: RetainedVersion): boolean {
    const node = this.nodes.find(({ id }) => id === version.origin);
    return node?.log[version.sequence - 1]?.payload === undefined;
  }

  #judgeWinners(node: SimNode): void {
    const last = new Map<string, string>();
    for (const { topic, key, payload } of node.winners) {
      for (const unit of key) this.#note(unit.charCodeAt(0));
      if (last.get(topic)?.startsWith(`${key} `) === true)
        this.violations.push(`${topic}: ${key} is shown twice`);
      last.set(topic, `${key} ${payload === undefined ? 'nothing' : key}`);
    }
    for (const [topic, shown] of last)
      if (!shown.endsWith(` ${this.#shownBy(node, topic)}`))
        this.violations.push(`${topic}: subscribers end with ${shown}, not ${this.#shownBy(node, topic)}`);
  }
}

export function runRetained(situation: Situation): Outcome {
  const world = new World(situation);
  world.run();
  const sum = (of: (node: SimNode) => number): number =>
    world.nodes.reduce((total, node) => total + of(node), 0);
  return {
    digest: world.digest,
    violations: world.violations,
    drops: sum(({ dropCount }) => dropCount),
    forced: sum(({ keeper }) => keeper.forcedCount),
    discards: sum(({ discardCount }) => discardCount),
    suspects: sum(({ suspectCount }) => suspectCount),
    cuts: world.cuts,
  };
}
