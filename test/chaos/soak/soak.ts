/**
 * Memory over a long mixed load: one gateway that archives to a folder and keeps little of its log, sampled every minute behind a collection of
 * garbage. It fails where the heap, or what buffers hold, grows in the second half (`trend`).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Random } from '../../sim/random.js';
import { freePort, GatewayProcess } from '../gateway-process.js';
import type { ProofReport } from '../report.js';
import { MixedLoad, type LoadCounts } from './load.js';
import { pointsOf, type Sample, SERIES, takeSample } from './samples.js';
import { growthOf, type Trend, trendOf } from './trend.js';

export interface SoakOptions {
  readonly durationMs: number;
  readonly seed: number;
  /** Default: a minute. */
  readonly sampleEveryMs?: number;
  /** Is told each sample. */
  readonly tell?: (text: string) => void;
}

export interface SoakReport extends ProofReport {
  readonly samples: readonly Sample[];
  readonly counts: LoadCounts;
}

const HOUR_MS = 3_600_000;
const SAMPLE_EVERY_MS = 60_000;
const MIB = 1024 * 1024;
const SHOWN_COUNT = 13;
/** What may not grow. */
const JUDGED: readonly string[] = ['heap, MB', 'buffers, MB'];

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
  sampleEveryMs = SAMPLE_EVERY_MS,
  tell = () => undefined,
}: SoakOptions): Promise<SoakReport> {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-soak-'));
  const dataDir = join(folder, 'data');
  const [port, httpPort] = [await freePort(), await freePort()];
  const gateway = new GatewayProcess({
    ...{ dataDir, port, httpPort, hasSmallFiles: false },
    execArgv: ['--import', new URL('collector.js', import.meta.url).href],
    // Beside the data folder: an archive grows.
    set: { ...SETTINGS, 'archive.target': pathToFileURL(join(folder, 'archive')).href },
  });
  const load = new MixedLoad({ port, httpPort }, new Random(seed, 'soak'));
  const samples: Sample[] = [];
  const failures: string[] = [];
  try {
    if (!(await gateway.whenReady())) throw new Error(`it ended: ${gateway.text}`);
    await load.start();
    const startedAtMs = performance.now();
    tell(headOf());
    for (let n = 1; n * sampleEveryMs <= durationMs; n++) {
      const waitMs = Math.max(0, startedAtMs + n * sampleEveryMs - performance.now());
      await Promise.race([elapse(waitMs, undefined, { ref: false }), gateway.ended]);
      const sample = await takeSample(gateway, dataDir, (performance.now() - startedAtMs) / HOUR_MS);
      if (sample === undefined) break;
      samples.push(sample);
      tell(lineOf(sample));
    }
    if (!gateway.isRunning) failures.push(`it ended by itself: ${gateway.text}`);
  } finally {
    await load.stop();
    if (gateway.isRunning) await gateway.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  failures.push(...gateway.errors.map((line) => `it logged ${JSON.stringify(line)}`), ...load.faults);
  return { ...judged(samples, load.counts, failures), samples, counts: load.counts };
}

function judged(samples: readonly Sample[], counts: LoadCounts, found: readonly string[]): ProofReport {
  const failures = [...found];
  const skipped: string[] = [];
  const figures: Record<string, number | string> = { ...figuresOf(counts), samples: samples.length };
  for (const [name, valueOf] of Object.entries(SERIES)) {
    const trend = trendOf(pointsOf(samples, valueOf));
    figures[name] = shown(samples.map(valueOf));
    figures[`${name} in an hour`] = trendText(trend);
    if (!JUDGED.includes(name)) continue;
    const growth = growthOf(trend);
    if (growth.kind === 'grows') failures.push(`${name}: it grows by ${trendText(trend)} in an hour`);
    if (growth.kind === 'inconclusive') failures.push(`inconclusive: ${name}: ${growth.reason}`);
    if (growth.kind === 'short') skipped.push(`${name} is not judged: ${growth.reason}`);
  }
  return { figures, failures, skipped };
}

function figuresOf({ published, ...counts }: LoadCounts): Record<string, number | string> {
  const { received, backlog, visits, returns, expiring, retained, removed, filters, scrapes } = counts;
  return {
    'published with QoS 0, 1, 2': published.join(', '),
    received: received + backlog,
    'of these by sessions that come and go': backlog,
    'their returns': returns,
    'clients that came and went': visits,
    'of these with sessions that expire': expiring,
    'retained, and removed': `${retained}, ${removed}`,
    'filters that came and went': filters,
    scrapes,
  };
}

const headOf = (): string => ['minutes', ...Object.keys(SERIES)].join(' | ');

function lineOf(sample: Sample): string {
  const values = Object.values(SERIES).map((valueOf) => valueText(valueOf(sample)));
  return [(sample.hours * 60).toFixed(1), ...values].join(' | ');
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
