/**
 * Very many retained topics, changed and removed on both sides of a partition, some of them on both: when the last link is back all
 * gateways retain the same, and every subscriber that was there has seen what stands, last.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { MeshFormation } from './mesh-formation.js';
import { type MeshGateway, within } from './mesh-gateway.js';
import type { Way } from './mesh-network.js';
import type { ProofReport } from './report.js';
import { StateClient } from './state-client.js';

const CUT_SEEN_MAX_MS = 30_000;
const LINKED_MAX_MS = 60_000;
/** Nothing has come for so long: it is over. */
const QUIET_MS = 3000;
const QUIET_OF_FEW_MS = 1000;
const SETTLED_MAX_MS = 120_000;
/** How soon after the last link all have to be the same. In a short run, which has other tests beside it, there is more time for a few. */
const FEW = { topics: 10_000, changes: 1000, withinMs: 1000 };
const MANY_WITHIN_MS = 5000;

type States = Map<string, string>;

/** One partition: what each side writes of the topics. */
class Changes {
  readonly left: States = new Map();
  readonly right: States = new Map();

  /** @param count of topics that change, of `all`; one in ten on both sides, and one in ten of the others is removed */
  constructor(all: readonly string[], count: number, round: number) {
    for (let n = 0; n < count; n++) {
      const topic = all[(n * 7919 + round) % all.length] ?? '';
      const change = (side: string): string => (n % 10 === 1 ? '' : `${side} ${round} of ${topic}`);
      if (n % 10 === 0 || n % 2 === 0) this.left.set(topic, change('left'));
      if (n % 10 === 0 || n % 2 === 1) this.right.set(topic, change('right'));
    }
  }

  /** What may stand in the end. */
  mayBe(topic: string): readonly string[] {
    return [this.left.get(topic), this.right.get(topic)].flatMap((payload) => payload ?? []);
  }
}

export async function meshRetained(topics: number): Promise<ProofReport> {
  const isLong = topics > FEW.topics;
  const quietMs = isLong ? QUIET_MS : QUIET_OF_FEW_MS;
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-retained-'));
  const set = { 'limits.retainedMaxCount': 2 * topics, 'limits.retainedPerClientMaxCount': 0 };
  const formation = new MeshFormation({ folder, count: 3, hasSmallFiles: !isLong, set });
  const { network } = formation;
  const clients: StateClient[] = [];
  const connect = async ({ endpoint, name }: MeshGateway, what: string): Promise<StateClient> => {
    const client = await StateClient.connect(endpoint, `${what}-${name}-${clients.length}`);
    clients.push(client);
    return client;
  };
  try {
    if (network.cannotCut !== undefined)
      return {
        figures: {},
        failures: [],
        skipped: [`retained messages and a partition: ${network.cannotCut}`],
      };
    await formation.start();
    const { gateways } = formation;
    const [first, , last] = gateways as [MeshGateway, MeshGateway, MeshGateway];
    const watchers = await Promise.all(gateways.map((one) => connect(one, 'watcher')));
    await Promise.all(watchers.map((one) => one.subscribe('r/#')));
    const names = Array.from({ length: topics }, (_, n) => `r/site ${n % 100}/sensor ${n}`);
    const writers = await Promise.all([first, last].map((one) => connect(one, 'writer')));
    const [left, right] = writers as [StateClient, StateClient];
    const expected: States = new Map(names.map((topic) => [topic, `first of ${topic}`]));
    await left.write(expected);
    await settled(watchers, quietMs);
    const figures: Record<string, number | string> = { topics };
    const failures: string[] = [];
    for (const [round, count] of [FEW.changes, topics].entries()) {
      const changes = new Changes(names, count, round);
      await partition(formation, async () => {
        await Promise.all([left.write(changes.left), right.write(changes.right)]);
        await settled(watchers, quietMs);
      });
      const healedAtMs = performance.now();
      if ((await formation.whenLinked(LINKED_MAX_MS)) === undefined) throw new Error('no links again');
      const linkedAtMs = performance.now();
      await settled(watchers, quietMs);
      const lastAtMs = Math.max(...watchers.map(({ heardAtMs }) => heardAtMs));
      // Links are looked at every 100 ms.
      const tookMs = Math.max(0, lastAtMs - linkedAtMs);
      const { seen } = watchers[0] as StateClient;
      failures.push(...wrong(seen, expected, changes));
      const readers = await Promise.all(gateways.map((one) => connect(one, `reader${round}`)));
      await Promise.all(readers.map((one) => one.subscribe('r/#')));
      await settled(readers, quietMs);
      for (const [i, client] of [...watchers, ...readers].entries())
        failures.push(
          ...difference(seen, client.seen, `${i < 3 ? 'who watched' : 'who asks'} at g${(i % 3) + 1}`),
        );
      const maxMs = isLong && count <= FEW.changes ? FEW.withinMs : MANY_WITHIN_MS;
      if (tookMs > maxMs)
        failures.push(`${count} changes: the last came ${tookMs.toFixed(0)} ms after the last link`);
      figures[`${count} changes: linked again after ms`] = Math.round(linkedAtMs - healedAtMs);
      figures[`${count} changes: last one ms after that`] = Math.round(tookMs);
      figures[`${count} changes: last one ms after the cut`] = Math.round(lastAtMs - healedAtMs);
      figures[`${count} changes: retained`] = seen.size;
      expected.clear();
      for (const [topic, payload] of seen) expected.set(topic, payload);
    }
    figures['event loop, worst p99 in ms'] = Math.round(formation.lagMs);
    return { figures, failures: [...failures, ...gateways.flatMap((one) => one.complaints())] };
  } finally {
    for (const client of clients) client.leave();
    await formation.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first gateway is cut off from the others meanwhile. */
async function partition(formation: MeshFormation, meanwhile: () => Promise<void>): Promise<void> {
  const [first, ...others] = formation.gateways as [MeshGateway, ...MeshGateway[]];
  const ways = others.flatMap(({ options: { place } }): Way[] => [
    [first.options.place, place],
    [place, first.options.place],
  ]);
  formation.network.cut(ways);
  const isCut = async (): Promise<boolean> =>
    (await Promise.all(others.map((one) => formation.unlinked([first, one])))).every((text) => text !== '');
  if ((await within(CUT_SEEN_MAX_MS, isCut)) === undefined) throw new Error('the cut was not noticed');
  await meanwhile();
  formation.network.heal();
}

/** Nobody has heard anything for a while. @throws Error where that does not come */
async function settled(clients: readonly StateClient[], quietMs: number): Promise<void> {
  const startedAtMs = performance.now();
  const isQuiet = (): boolean =>
    clients.every(({ heardAtMs }) => performance.now() - Math.max(heardAtMs, startedAtMs) > quietMs);
  if ((await within(SETTLED_MAX_MS, isQuiet)) === undefined) throw new Error('it does not come to an end');
}

function wrong(seen: States, before: States, changes: Changes): string[] {
  const failures: string[] = [];
  for (const topic of new Set([...before.keys(), ...changes.left.keys(), ...changes.right.keys()])) {
    const may = changes.mayBe(topic);
    const payload = seen.get(topic) ?? '';
    const isRight = may.length === 0 ? payload === (before.get(topic) ?? '') : may.includes(payload);
    if (!isRight)
      failures.push(`${topic} is ${JSON.stringify(payload)}, and ${JSON.stringify(may)} was written`);
  }
  return failures.length <= 3
    ? failures
    : [...failures.slice(0, 3), `and ${failures.length - 3} topics more`];
}

function difference(one: States, other: States, who: string): string[] {
  const topics = new Set([...one.keys(), ...other.keys()]);
  const different = [...topics].filter((topic) => one.get(topic) !== other.get(topic));
  const [topic] = different;
  if (topic === undefined) return [];
  return [
    `${who} has ${different.length} topics otherwise: of ${topic} ${JSON.stringify(other.get(topic))} and not ${JSON.stringify(one.get(topic))}`,
  ];
}
