/** Parts of the mesh by themselves: looking a topic up in the hash table, and in what other gateways want. */
import { randomBytes } from 'node:crypto';
import { microseconds } from '../monotonic.js';
import { percentile } from '../statistics.js';
import type { Figures } from './store-probes.js';

/** What the probe needs is not there; the message says what. */
export class Skip extends Error {}

/** What is used of a node of `hyperdht`. */
interface DhtNode {
  address(): { readonly port: number };
  fullyBootstrapped(): Promise<void>;
  announce(topic: Uint8Array, keyPair: unknown): { finished(): Promise<void> };
  lookup(topic: Uint8Array): AsyncIterable<{ readonly peers: readonly unknown[] }>;
  destroy(options: { readonly force: boolean }): Promise<void>;
}
interface DhtModule {
  readonly default: {
    new (options: object): DhtNode;
    keyPair(): unknown;
  };
}
/** What is used of `mesh/interest`. */
interface InterestModule {
  readonly RemoteInterest: new () => {
    readonly filterCount: number;
    set(gateway: string, filter: string, qos: number): void;
    match(topic: string, visit: (gateway: string) => void): void;
  };
}

/** By a name that the compiler does not see: the probe is built where it is not installed. Throws a Skip there. */
async function importIfThere(specifier: string): Promise<unknown> {
  try {
    return await import(specifier);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Skip(`${specifier.replace(/^.*\/dist\//, '')} is not there`, { cause: error });
  }
}

/** Announcements that are looked for. */
const DHT_TOPICS = 20;
const LOCAL = '127.0.0.1';

/**
 * A hash table of its own on loopback, all nodes in this process: from the question of a node to the answer of the last
 * node that was asked. Every look-up has to find who announced the topic.
 */
export async function dht(count: number, lookups: number): Promise<Figures> {
  const { default: Dht } = (await importIfThere('hyperdht')) as DhtModule;
  const nodes: DhtNode[] = [];
  const bootstrap: object[] = [];
  for (let n = 0; n < count; n++) {
    const node = new Dht({
      ephemeral: false,
      firewalled: false,
      bootstrap: [...bootstrap],
      host: LOCAL,
      port: 0,
    });
    await node.fullyBootstrapped();
    if (n === 0) bootstrap.push({ host: LOCAL, port: node.address().port });
    nodes.push(node);
  }
  const nodeOf = (n: number): DhtNode => nodes[n % count] as DhtNode;
  const topics = Array.from({ length: DHT_TOPICS }, () => randomBytes(32));
  const keyPair = Dht.keyPair();
  for (const [n, topic] of topics.entries()) await nodeOf(n).announce(topic, keyPair).finished();

  const times: number[] = [];
  let firstMs = 0;
  for (let n = -DHT_TOPICS; n < lookups; n++) {
    const topic = topics[(n + DHT_TOPICS) % DHT_TOPICS] as Buffer;
    const startUs = microseconds();
    let found = 0;
    for await (const { peers } of nodeOf((n + DHT_TOPICS) * 7 + 3).lookup(topic)) found += peers.length;
    const ms = (microseconds() - startUs) / 1000;
    if (found === 0) throw new Error('a topic that was announced is not found');
    if (n === -DHT_TOPICS) firstMs = ms;
    if (n >= 0) times.push(ms);
  }
  await Promise.all(nodes.map((node) => node.destroy({ force: true })));
  return { nodes: count, p50Ms: percentile(times, 50), p99Ms: percentile(times, 99), firstMs };
}

const SITES = 100;
const DEVICES = 200;
const MEASURES = 5;
const INTEREST_WARM_UP = 1_000;
/** Topics whose gateways are compared with those that a naive matcher finds. */
const CHECKED_TOPICS = 20;

const topicOf = (n: number): string =>
  `site-${n % SITES}/device-${Math.floor(n / SITES) % DEVICES}/measure-${Math.floor(n / (SITES * DEVICES)) % MEASURES}`;

/** Mostly what the devices of a gateway's own site send; one in ten with a wildcard, one in a hundred across sites. */
function filterOf(gateway: number, n: number): string {
  const own = `site-${gateway % SITES}`;
  const device = `device-${n % DEVICES}`;
  const measure = `measure-${Math.floor(n / DEVICES) % MEASURES}`;
  if (n % 100 === 99) return `+/${device}/${measure}`;
  if (n % 20 === 7) return `${own}/+/${measure}/${n}`;
  if (n % 20 === 13) return `${own}/${device}/#`;
  return `${own}/${device}/${measure}`;
}

function matches(filter: readonly string[], topic: readonly string[]): boolean {
  for (const [i, level] of filter.entries()) {
    if (level === '#') return true;
    if (i >= topic.length || (level !== '+' && level !== topic[i])) return false;
  }
  return filter.length === topic.length;
}

/** Which of so many gateways want a topic, with so many filters in all; every topic another one than the last. */
export async function interest(gateways: number, filters: number, lookups: number): Promise<Figures> {
  const path = new URL('../../../mesh/interest/index.js', import.meta.url).href;
  const { RemoteInterest } = (await importIfThere(path)) as InterestModule;
  const remote = new RemoteInterest();
  const wanted = new Map<string, Set<string>>();
  const each = filters / gateways;
  for (let gateway = 0; gateway < gateways; gateway++) {
    const id = gateway.toString(16).padStart(64, '0');
    const own = new Set<string>();
    for (let n = 0; own.size < each; n++) {
      const filter = filterOf(gateway, n);
      own.add(own.has(filter) ? `${filter.replace('/#', '')}/more-${n}` : filter);
    }
    wanted.set(id, own);
    for (const filter of own) remote.set(id, filter, 1);
  }
  const found = new Set<string>();
  const visit = (gateway: string): void => void found.add(gateway);
  for (let n = 0; n < CHECKED_TOPICS; n++) {
    const topic = topicOf(n * 4_999);
    found.clear();
    remote.match(topic, visit);
    checkFound(topic, found, wanted);
  }
  const times: number[] = [];
  let foundCount = 0;
  for (let n = -INTEREST_WARM_UP; n < lookups; n++) {
    const topic = topicOf((n + INTEREST_WARM_UP) * 7_919);
    found.clear();
    const startUs = microseconds();
    remote.match(topic, visit);
    const us = microseconds() - startUs;
    if (n < 0) continue;
    times.push(us);
    foundCount += found.size;
  }
  return {
    filters: remote.filterCount,
    p50Us: percentile(times, 50),
    p99Us: percentile(times, 99),
    foundMean: foundCount / lookups,
  };
}

function checkFound(
  topic: string,
  found: ReadonlySet<string>,
  wanted: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  const levels = topic.split('/');
  const due = [...wanted].filter(([, filters]) =>
    [...filters].some((filter) => matches(filter.split('/'), levels)),
  );
  if (due.length === 0) throw new Error(`${topic}: nobody wants it`);
  if (found.size !== due.length || due.some(([gateway]) => !found.has(gateway)))
    throw new Error(`${topic}: ${found.size} gateways found, ${due.length} due`);
}
