/**
 * Micro benchmark of the router with 100,000 filters, in a process of its own: `node route.js [seconds]` prints a
 * RouteResult as JSON. Cached: the hot path, by the topic's bytes. Uncached: by name, every topic new to the cache, whose
 * full insert and eviction is part of the price.
 */
import {
  RouteState,
  Router,
  Subscription,
  type RouteTarget,
  type Subscriber,
} from '../../lib/routing/index.js';
import { createCounters } from '../../lib/telemetry/counters.js';
import { microseconds } from './monotonic.js';
import type { RouteResult } from './row.js';

const FILTER_COUNT = 100_000;
const SITES = 100;
const DEVICES = 200;
const MEASURES = 5;
const CACHE_MAX_COUNT = 4_096;
const BATCH_COUNT = 1_000;
/** Topics whose subscribers are compared with those that a naive matcher finds. */
const CHECKED_TOPICS = 20;

const OPTIONS = {
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  identifier: 0,
} as const;

class BenchSubscriber implements Subscriber {
  routeMark = 0;
  routeTarget: RouteTarget | undefined = undefined;
  readonly online = true;
  canReceive(): boolean {
    return true;
  }
}

const topicOf = (index: number): string =>
  `site-${index % SITES}/device-${Math.floor(index / SITES) % DEVICES}/measure-${Math.floor(index / (SITES * DEVICES)) % MEASURES}`;

/** 95 exact filters of 100, three with `+` at each possible level, two with `#`: what a fleet with dashboards has. */
function filterOf(index: number): string {
  const [site = '', device = '', measure = ''] = topicOf(index).split('/');
  switch (index % 100) {
    case 95:
      return `${site}/+/${measure}`;
    case 96:
      return `${site}/${device}/+`;
    case 97:
      return `+/${device}/${measure}`;
    case 98:
      return `${site}/${device}/#`;
    case 99:
      return index % 10_000 === 99 ? `${site}/#` : `${site}/${device}/${measure}/#`;
    default:
      return `${site}/${device}/${measure}`;
  }
}

function matches(filter: readonly string[], topic: readonly string[]): boolean {
  for (let i = 0; i < filter.length; i++) {
    if (filter[i] === '#') return true;
    if (i >= topic.length || (filter[i] !== '+' && filter[i] !== topic[i])) return false;
  }
  return filter.length === topic.length;
}

type BenchRouter = Router<BenchSubscriber, unknown>;

function fillRouter(): BenchRouter {
  const router: BenchRouter = new Router({ cacheMaxCount: CACHE_MAX_COUNT, counters: createCounters() });
  for (let i = 0; i < FILTER_COUNT; i++) {
    router.add(new Subscription(new BenchSubscriber(), filterOf(i), OPTIONS, '', false));
  }
  return router;
}

/** Throws where the router finds other subscribers than the specification names: its speed would mean nothing. */
function check(router: BenchRouter): void {
  const filters = Array.from({ length: FILTER_COUNT }, (_, i) => filterOf(i).split('/'));
  for (let i = 0; i < CHECKED_TOPICS; i++) {
    const topic = topicOf(i * 4_999);
    const levels = topic.split('/');
    const due = filters.filter((filter) => matches(filter, levels)).length;
    const found = router.resolve(topic).targets.length;
    if (found !== due || due === 0) throw new Error(`${topic}: ${found} subscribers found, ${due} due`);
  }
}

interface Timing {
  readonly meanUs: number;
  readonly worstBatchUs: number;
}

/** Runs batches of `BATCH_COUNT` calls for `seconds`, after as long a warm-up; microseconds per call. */
function time(seconds: number, call: (index: number) => void): Timing {
  let index = 0;
  const batchUs = (): number => {
    const startedUs = microseconds();
    for (let i = 0; i < BATCH_COUNT; i++) call(index++);
    return (microseconds() - startedUs) / BATCH_COUNT;
  };
  const runFor = (durationUs: number): number[] => {
    const batches: number[] = [];
    for (const untilUs = microseconds() + durationUs; microseconds() < untilUs;) batches.push(batchUs());
    return batches;
  };
  runFor(seconds * 1e6);
  const batches = runFor(seconds * 1e6);
  const meanUs = batches.reduce((sum, value) => sum + value, 0) / batches.length;
  return { meanUs, worstBatchUs: Math.max(...batches) };
}

function measure(seconds: number): RouteResult {
  const router = fillRouter();
  check(router);
  const topics = Array.from({ length: FILTER_COUNT }, (_, i) => topicOf(i));
  // A stride that visits every topic once before any comes again: never still in the cache.
  const uncached = time(seconds, (index) => {
    const route = router.resolve(topics[(index * 7) % FILTER_COUNT] ?? '');
    if (route.empty) throw new Error('a topic without subscribers');
  });
  const encoded = topics.slice(0, CACHE_MAX_COUNT / 2).map((topic) => new TextEncoder().encode(topic));
  for (const topic of topics.slice(0, encoded.length)) router.resolve(topic);
  const cached = time(seconds, (index) => {
    const bytes = encoded[index % encoded.length] ?? new Uint8Array(0);
    const route = router.find(bytes, 0, bytes.length);
    if (route?.state !== RouteState.fresh) throw new Error('a cached topic was not found');
  });
  return {
    kind: 'route',
    cachedUs: cached.meanUs,
    uncachedUs: uncached.meanUs,
    cachedWorstUs: cached.worstBatchUs,
    uncachedWorstUs: uncached.worstBatchUs,
  };
}

process.stdout.write(JSON.stringify(measure(Number(process.argv[2] ?? 1))));
