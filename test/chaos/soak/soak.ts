/**
 * Memory over a long mixed load: a gateway and its neighbour, whose line is cut again and again, that archive to a folder and keep little of their
 * logs, sampled every minute behind a collection of garbage. It fails where what one has on its heap beside code, or what its buffers hold, grows
 * in the second half (`trend`).
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
import { pointsOf, type Sample, SERIES, takeSample } from './samples.js';
import { growthOf, type Trend, trendOf } from './trend.js';

export interface SoakOptions {
  readonly durationMs: number;
  readonly seed: number;
  /** Whether V8 only interprets: the heap is data alone then, and nothing is added for hours by a compiler that learns. */
  readonly isInterpreted?: boolean;
  /** Default: a minute. */
  readonly sampleEveryMs?: number;
  /** How many topics fill the caches first. Default: more than the largest of them has places. */
  readonly fillTopics?: number;
  /** Is told each sample. */
  readonly tell?: (text: string) => void;
}

export interface SoakReport extends ProofReport {
  /** Of each gateway. */
  readonly samples: readonly (readonly Sample[])[];
  readonly counts: LoadCounts;
}

const HOUR_MS = 3_600_000;
const SAMPLE_EVERY_MS = 60_000;
const MIB = 1024 * 1024;
const SHOWN_COUNT = 13;
const GATEWAYS = 2;
/** Three times the places of a `TextCache`: 95 % of them are taken. */
const FILL_TOPICS = 49_152;
/** Of names of publishers fewer are remembered. */
const TOPICS_FOR_A_PUBLISHER = 5;
/** When the line is cut: parts of the time from one sample to the next. */
const [CUT_FROM, CUT_TO] = [0.1, 0.4];
/** What may not grow. */
const JUDGED: readonly string[] = ['heap without code, MB', 'buffers, MB'];

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
      /* eslint-enable no-await-in-loop */
      taken.forEach((sample, i) => sample !== undefined && samples[i]?.push(sample));
      tell(lineOf(hours, taken));
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
  return { ...judged(samples, load.counts, failures), samples, counts: load.counts };
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
  all: readonly (readonly Sample[])[],
  counts: LoadCounts,
  found: readonly string[],
): ProofReport {
  const failures = [...found];
  const skipped: string[] = [];
  const figures: Record<string, number | string> = { ...figuresOf(counts), samples: all[0]?.length ?? 0 };
  for (const [i, samples] of all.entries())
    for (const [series, valueOf] of Object.entries(SERIES)) {
      const name = `g${i + 1}, ${series}`;
      const trend = trendOf(pointsOf(samples, valueOf));
      figures[name] = shown(samples.map(valueOf));
      figures[`${name} in an hour`] = trendText(trend);
      if (!JUDGED.includes(series)) continue;
      const growth = growthOf(trend);
      if (growth.kind === 'grows') failures.push(`${name}: it grows by ${trendText(trend)} in an hour`);
      if (growth.kind === 'inconclusive') failures.push(`inconclusive: ${name}: ${growth.reason}`);
      if (growth.kind === 'short') skipped.push(`${name} is not judged: ${growth.reason}`);
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
