/**
 * Memory over a long mixed load: a gateway and its neighbour, whose line is cut again and again, that archive to a folder and keep little of their
 * logs, sampled every minute behind a collection of garbage, and with heap snapshots in the second half. It fails where the data of one, or what its
 * buffers hold, grows in the second half (`trend`).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Random } from '../../sim/random.js';
import { MeshFormation } from '../mesh-formation.js';
import type { MeshGateway } from '../mesh-gateway.js';
import type { ProofReport } from '../report.js';
import { MixedLoad, type LoadCounts } from './load.js';
import { type HeapSample, pointsOf, type Sample, SERIES, takeHeapKinds, takeSample } from './samples.js';
import { type Growth, growthBetween, growthOf, type Trend, trendOf } from './trend.js';

export interface SoakOptions {
  readonly durationMs: number;
  readonly seed: number;
  /** Whether V8 only interprets: the heap is data alone then, and nothing is added for hours by a compiler that learns. No snapshots are needed. */
  readonly isInterpreted?: boolean;
  /** Default: a minute. */
  readonly sampleEveryMs?: number;
  /** After which parts of the time a heap snapshot tells data from code. Default: `HEAP_SHARES`. */
  readonly heapShares?: readonly number[];
  /** How many topics fill the caches first. Default: more than the largest of them has places. */
  readonly fillTopics?: number;
  /** Is told each sample. */
  readonly tell?: (text: string) => void;
}

export interface SoakReport extends ProofReport {
  /** Of each gateway. */
  readonly samples: readonly (readonly Sample[])[];
  /** Of each gateway, too. */
  readonly heaps: readonly (readonly HeapSample[])[];
  readonly counts: LoadCounts;
}

const HOUR_MS = 3_600_000;
const SAMPLE_EVERY_MS = 60_000;
const MIB = 1024 * 1024;
const MEGABYTE = 1_000_000;
const SHOWN_COUNT = 13;
const GATEWAYS = 2;
/** Three times the places of a `TextCache`: 95 % of them are taken. */
const FILL_TOPICS = 49_152;
/** Of names of publishers fewer are remembered. */
const TOPICS_FOR_A_PUBLISHER = 5;
/** When the line is cut: parts of the time from one sample to the next. */
const [CUT_FROM, CUT_TO] = [0.1, 0.4];
const HEAP_SHARES: readonly number[] = [0.5, 0.75, 1];
/** Before a heap snapshot nothing new begins for so long: what is under way is over then. */
const STILL_MS = 5000;

/** What is meant to be bounded is full long before the second half. */
const SETTINGS = {
  'archive.topics': '["soak/#"]',
  'archive.fileMaxAgeS': 5,
  'storage.keepMaxBytes': MIB,
  'storage.segmentMaxBytes': MIB,
  'storage.checkpointEveryBytes': MIB,
  'storage.snapshotEveryBytes': 4 * MIB,
  'limits.routeCacheMaxCount': 1024,
  'sys.intervalS': 5,
};

export async function soak({
  durationMs,
  seed,
  isInterpreted = false,
  sampleEveryMs = SAMPLE_EVERY_MS,
  heapShares = isInterpreted ? [] : HEAP_SHARES,
  fillTopics = FILL_TOPICS,
  tell = () => undefined,
}: SoakOptions): Promise<SoakReport> {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-soak-'));
  const formation = new MeshFormation({
    ...{ folder, count: GATEWAYS, hasSmallFiles: false },
    execArgv: [
      // Without the second one the first says on stderr that it turns WebAssembly off.
      ...(isInterpreted ? ['--jitless', '--no-expose-wasm'] : []),
      ...['--import', new URL('collector.js', import.meta.url).href],
    ],
    // Beside the data folders: an archive grows.
    set: { ...SETTINGS, 'archive.target': pathToFileURL(join(folder, 'archive')).href },
  });
  const samples: Sample[][] = Array.from({ length: GATEWAYS }, () => []);
  const heaps: HeapSample[][] = Array.from({ length: GATEWAYS }, () => []);
  const heapsAfter = new Set(heapShares.map((share) => Math.floor((share * durationMs) / sampleEveryMs)));
  const failures: string[] = [];
  let load: MixedLoad | undefined;
  try {
    await formation.start();
    const { gateways } = formation;
    load = new MixedLoad(
      gateways.map(({ host, options }) => ({ host, port: options.ports.mqtt, httpPort: options.ports.http })),
      new Random(seed, 'soak'),
    );
    await load.fillCaches({ topics: fillTopics, publishers: fillTopics / TOPICS_FOR_A_PUBLISHER });
    await load.start();
    const startedAtMs = performance.now();
    const ended = Promise.race(gateways.map(({ process }) => process?.ended));
    const until = (ms: number): Promise<unknown> =>
      Promise.race([
        elapse(Math.max(0, startedAtMs + ms - performance.now()), undefined, { ref: false }),
        ended,
      ]);
    tell(headOf());
    for (let n = 1; n * sampleEveryMs <= durationMs && gateways.every(({ isRunning }) => isRunning); n++) {
      // One after the other: this is a time table.
      /* eslint-disable no-await-in-loop */
      await until((n - 1 + CUT_FROM) * sampleEveryMs);
      cut(formation);
      await until((n - 1 + CUT_TO) * sampleEveryMs);
      heal(formation);
      await until(n * sampleEveryMs);
      const hours = (performance.now() - startedAtMs) / HOUR_MS;
      const taken = await Promise.all(gateways.map((one) => sampleOf(one, hours)));
      taken.forEach((sample, i) => sample !== undefined && samples[i]?.push(sample));
      tell(lineOf(hours, taken));
      if (!heapsAfter.has(n)) continue;
      load.pause();
      await until(n * sampleEveryMs + Math.min(STILL_MS, sampleEveryMs / 3));
      for (const [i, { name, process }] of gateways.entries()) {
        const heap = process && (await takeHeapKinds(process, hours));
        if (heap === undefined) continue;
        heaps[i]?.push(heap);
        tell(`${name}: ${megabytes(heap.dataBytes)} MB of data, ${megabytes(heap.codeBytes)} MB for code`);
      }
      load.resume();
      /* eslint-enable no-await-in-loop */
    }
    for (const { isRunning, name } of gateways) if (!isRunning) failures.push(`${name} ended by itself`);
    failures.push(...load.faults);
  } finally {
    heal(formation);
    await load?.stop();
    await formation.close();
    rmSync(folder, { recursive: true, force: true });
  }
  failures.push(...formation.gateways.flatMap((one) => one.complaints()));
  const { counts } = load;
  return { ...judged({ samples, heaps, counts }, isInterpreted, failures), samples, heaps, counts };
}

/** The first gateway hears nothing of its neighbour, nor the other way round; where nothing can be cut, the neighbour stands still. */
function cut({ network, gateways }: MeshFormation): void {
  const [first, second] = network.places;
  if (network.cannotCut !== undefined) gateways[1]?.pause();
  else if (first !== undefined && second !== undefined)
    network.cut([
      [first, second],
      [second, first],
    ]);
}

function heal({ network, gateways }: MeshFormation): void {
  if (network.cannotCut === undefined) network.heal();
  else if (gateways[1]?.isRunning === true) gateways[1].resume();
}

/** undefined: it ended */
async function sampleOf({ process, options }: MeshGateway, hours: number): Promise<Sample | undefined> {
  return process === undefined ? undefined : takeSample(process, options.dataDir, hours);
}

function judged(
  { samples: all, heaps, counts }: Pick<SoakReport, 'samples' | 'heaps' | 'counts'>,
  isInterpreted: boolean,
  found: readonly string[],
): ProofReport {
  const failures = [...found];
  const skipped: string[] = [];
  const figures: Record<string, number | string> = { ...figuresOf(counts), samples: all[0]?.length ?? 0 };
  const judge = (name: string, growth: Growth, by: string): void => {
    if (growth.kind === 'grows') failures.push(`${name}: it grows by ${by}`);
    if (growth.kind === 'inconclusive') failures.push(`inconclusive: ${name}: ${growth.reason}`);
    if (growth.kind === 'short') skipped.push(`${name} is not judged: ${growth.reason}`);
  };
  /** Compiled, the heap without what V8 counts as code still grows for hours with what it keeps for code. */
  const judgedSeries = isInterpreted ? ['heap, MB', 'buffers, MB'] : ['buffers, MB'];
  for (const [i, samples] of all.entries()) {
    for (const [series, valueOf] of Object.entries(SERIES)) {
      const name = `g${i + 1}, ${series}`;
      const trend = trendOf(pointsOf(samples, valueOf));
      figures[name] = shown(samples.map(valueOf));
      figures[`${name} in an hour`] = trendText(trend);
      if (judgedSeries.includes(series)) judge(name, growthOf(trend), `${trendText(trend)} in an hour`);
    }
    const snapshots = heaps[i] ?? [];
    if (isInterpreted || snapshots.length === 0) continue;
    const dataOf = ({ dataBytes }: HeapSample): number => dataBytes / MEGABYTE;
    const name = `g${i + 1}, data, MB`;
    figures[name] = snapshots.map(dataOf).map(valueText).join(' ');
    figures[`g${i + 1}, for code, MB`] = snapshots.map(({ codeBytes }) => megabytes(codeBytes)).join(' ');
    const points = snapshots.map((snapshot) => ({ hours: snapshot.hours, value: dataOf(snapshot) }));
    judge(
      name,
      growthBetween(points),
      `${megabytes((snapshots.at(-1)?.dataBytes ?? NaN) - (snapshots[0]?.dataBytes ?? NaN))} MB`,
    );
  }
  return { figures, failures, skipped };
}

function figuresOf({ published, ...counts }: LoadCounts): Record<string, number | string> {
  const { received, backlog, abroad, visits, returns, expiring, retained, removed, filters, scrapes } =
    counts;
  return {
    'published with QoS 0, 1, 2': published.join(', '),
    received: received + backlog + abroad,
    'of these by one at the neighbour': abroad,
    'of these by sessions that come and go': backlog,
    'their returns': returns,
    'clients that came and went': visits,
    'of these with sessions that expire': expiring,
    'retained, and removed': `${retained}, ${removed}`,
    'filters that came and went': filters,
    scrapes,
  };
}

const headOf = (): string =>
  [
    'minutes',
    ...Array.from({ length: GATEWAYS }, (_, i) => `g${i + 1}: ${Object.keys(SERIES).join(' | ')}`),
  ].join(' | ');

function lineOf(hours: number, samples: readonly (Sample | undefined)[]): string {
  const values = samples.flatMap((sample) =>
    Object.values(SERIES).map((valueOf) => (sample === undefined ? '-' : valueText(valueOf(sample)))),
  );
  return [(hours * 60).toFixed(1), ...values].join(' | ');
}

const megabytes = (bytes: number): string => (bytes / MEGABYTE).toFixed(2);
const valueText = (value: number): string => (Number.isInteger(value) ? `${value}` : value.toFixed(2));

/** Some of them, the first and the last among these. */
function shown(values: readonly number[]): string {
  const last = values.length - 1;
  const count = Math.min(SHOWN_COUNT, values.length);
  const indexes = Array.from({ length: count }, (_, i) => Math.round((i * last) / Math.max(1, count - 1)));
  return indexes.map((i) => valueText(values[i] ?? NaN)).join(' ');
}

const trendText = ({ slope, low, high }: Trend): string =>
  `${slope.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
