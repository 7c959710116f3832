/** The rows of the mesh suite, with the budget of each: from a client of one server to a client of another. */
import type { FormationName } from './formations.js';
import type { BenchOptions } from './options.js';
import {
  expectKind,
  type Budget,
  type Cell,
  type Figure,
  type FigureUnit,
  type JobPlan,
  type Measurement,
  type ProbePlan,
  type Row,
} from './row.js';
import type { TargetName } from './targets.js';

const OURS = 'ours-mesh';
const MOSQUITTO = 'mosquitto-bridge';
const NATS = 'nats-leaf';
const RAW = 'raw disk';
/** What `--target` calls each: a formation is chosen with the server that it is made of. */
const TARGET_OF: Readonly<Record<FormationName, TargetName>> = {
  'ours-mesh': 'ours-disk',
  'ours-mesh-three': 'ours-disk',
  'mosquitto-bridge': 'mosquitto',
  'mosquitto-bridge-kept': 'mosquitto',
  'nats-leaf': 'nats',
};

const PAYLOAD_BYTES = 64;
const KIB = 1_024;
const MIB = 1_048_576;
const LATENCY_PER_SECOND = 5_000;
const VERSION = 4;

const delivered: Figure = {
  name: 'delivered',
  unit: 'perSecond',
  of: (sample) => (sample.kind === 'rate' || sample.kind === 'latency' ? sample.deliveredPerSecond : NaN),
};
const published: Figure = {
  name: 'published',
  unit: 'perSecond',
  of: (sample) => (sample.kind === 'rate' ? sample.publishedPerSecond : NaN),
};
const loss: Figure = {
  name: 'loss',
  unit: 'percent',
  of: (sample) => (sample.kind === 'rate' ? sample.lossPercent : NaN),
};
const p50: Figure = { name: 'p50', unit: 'ms', of: (sample) => expectKind(sample, 'latency').p50Ms };
const p99: Figure = { name: 'p99', unit: 'ms', of: (sample) => expectKind(sample, 'latency').p99Ms };
const lateness: Figure = {
  name: 'sent late, p99',
  unit: 'ms',
  of: (sample) => expectKind(sample, 'latency').sendLatenessP99Ms,
};
const megabytes: Figure = {
  name: 'payload a second',
  unit: 'megabytes',
  of: (sample) => (sample.kind === 'rate' ? (sample.deliveredPerSecond * KIB) / 1e6 : NaN),
};

function figure(key: string, name: string, unit: FigureUnit, scale = 1): Figure {
  const of = (sample: Measurement): number =>
    sample.kind === 'figures' ? (sample.figures[key] ?? NaN) * scale : NaN;
  return { name, unit, of };
}

function cell(formation: FormationName, plan: Cell['plan'], name: string = formation): Cell {
  return { name, target: TARGET_OF[formation], formation, plan };
}

function probe(name: string, numbers: readonly number[], timeoutMs: number): ProbePlan {
  return { kind: 'probe', name, numbers, timeoutMs };
}

function budgetOf(
  text: string,
  bound: Budget['bound'],
  limit: number,
  cell: string,
  { of }: Pick<Figure, 'of'>,
): Budget {
  return { text, bound, limit, cells: [cell], value: (sampleOf) => of(sampleOf(cell)) };
}

function ratio(peer: string, bound: Budget['bound'], limit: number): Budget {
  return {
    text: `${OURS} / ${peer}`,
    bound,
    limit,
    cells: [OURS, peer],
    value: (sampleOf) => delivered.of(sampleOf(OURS)) / delivered.of(sampleOf(peer)),
  };
}

function timesOf(options: BenchOptions): { readonly warmUpMs: number; readonly measureMs: number } {
  return { warmUpMs: options.warmUpSeconds * 1000, measureMs: options.seconds * 1000 };
}

function windowPlan(options: BenchOptions, payloadBytes: number): JobPlan {
  return {
    ...{ ...timesOf(options), kind: 'window', version: VERSION, payloadBytes, qos: 1, pairs: 10 },
    ...{ windowCount: options.windowCount, aheadMaxCount: options.windowCount * 10 },
  };
}

function floodPlan(options: BenchOptions, payloadBytes: number, creditBytes: number): JobPlan {
  return {
    ...{ ...timesOf(options), kind: 'flood', version: VERSION, payloadBytes, subscribers: 1 },
    ...{ creditBytes, stopped: false },
  };
}

function qos1Row(options: BenchOptions): Row {
  const plan = windowPlan(options, PAYLOAD_BYTES);
  return {
    id: 'mesh-qos1',
    title: 'QoS 1, ten publishers at one server to ten subscribers at another',
    cells: [cell(OURS, plan), cell('ours-mesh-three', plan), cell(MOSQUITTO, plan), cell(NATS, plan)],
    figures: [delivered],
    budgets: [
      budgetOf('ours-mesh, messages a second', 'atLeast', 50_000, OURS, delivered),
      ratio(MOSQUITTO, 'above', 1),
      ratio(NATS, 'above', 1),
    ],
    note: 'ours is synced to the disk at both ends; the peers acknowledge from memory, and a leaf link of nats may lose messages',
  };
}

function latencyRow(options: BenchOptions): Row {
  const plan: JobPlan = {
    ...{ ...timesOf(options), kind: 'paced', version: VERSION, payloadBytes: PAYLOAD_BYTES, qos: 1 },
    ...{ subscribers: 1, ratePerSecond: options.small ? 1_000 : LATENCY_PER_SECOND, stopped: false },
  };
  return {
    id: 'mesh-latency',
    title: 'End to end at 5,000 msg/s, QoS 1, a publisher at one server to a subscriber at another',
    cells: [cell(OURS, plan), cell(MOSQUITTO, plan), cell(NATS, plan)],
    figures: [p50, p99, delivered, lateness],
    budgets: [budgetOf('ours-mesh, p99, ms', 'below', 20, OURS, p99)],
  };
}

function qos0Row(options: BenchOptions): Row {
  const plan = floodPlan(options, PAYLOAD_BYTES, options.qos0CreditBytes);
  return {
    id: 'mesh-qos0',
    title: 'QoS 0, one publisher at one server to one subscriber at another',
    cells: [cell(OURS, plan), cell(MOSQUITTO, plan), cell(NATS, plan)],
    figures: [delivered, published, loss],
    budgets: [ratio(MOSQUITTO, 'atLeast', 2), ratio(NATS, 'atLeast', 0.5)],
  };
}

/** So many messages of 1 KiB as the other rows have of 64 bytes would be more than a socket holds. */
const CREDIT_TIMES = 4;

function kibibyteRow(options: BenchOptions): Row {
  const qos0 = floodPlan(options, KIB, options.qos0CreditBytes * CREDIT_TIMES);
  const qos1 = windowPlan(options, KIB);
  const ours0 = `${OURS}, QoS 0`;
  const ours1 = `${OURS}, QoS 1`;
  const rawRate = figure('rawBytesPerSecond', 'raw, synced', 'megabytes', 1e-6);
  return {
    id: 'mesh-1k',
    title: 'Payloads of 1 KiB from one server to another, beside 1 MiB and fdatasync on the raw disk',
    cells: [
      cell(OURS, qos0, ours0),
      cell(MOSQUITTO, qos0, `${MOSQUITTO}, QoS 0`),
      cell(NATS, qos0, `${NATS}, QoS 0`),
      cell(OURS, qos1, ours1),
      cell(MOSQUITTO, qos1, `${MOSQUITTO}, QoS 1`),
      cell(NATS, qos1, `${NATS}, QoS 1`),
      {
        name: RAW,
        target: 'ours-disk',
        plan: probe('raw', [options.small ? 0.1 : options.seconds, MIB], 60_000),
      },
    ],
    figures: [megabytes, delivered, loss, rawRate, figure('rawP99Ms', 'raw, p99', 'ms')],
    budgets: [
      budgetOf('ours-mesh, QoS 0, MB/s', 'atLeast', 100, ours0, megabytes),
      {
        text: 'ours-mesh, QoS 1 / raw disk',
        bound: 'atLeast',
        limit: 0.5,
        cells: [ours1, RAW],
        value: (sampleOf) => megabytes.of(sampleOf(ours1)) / rawRate.of(sampleOf(RAW)),
      },
    ],
    note: 'of QoS 1 every byte is written twice to the one disk: at the first gateway and at the second',
  };
}

function backlogRow(options: BenchOptions): Row {
  const count = options.small ? 2_000 : 1_000_000;
  const ours = `${OURS}, backlog`;
  const drained = figure('drainedPerSecond', 'drained', 'perSecond');
  const liveP99 = figure('liveP99Ms', 'live p99', 'ms');
  const minutes = 60_000;
  return {
    id: 'mesh-backlog',
    title: `${count} messages of QoS 1 that waited for the other server, with 1,000 msg/s of live traffic beside them`,
    cells: [
      cell(OURS, windowPlan(options, PAYLOAD_BYTES)),
      cell(OURS, probe('backlog-ours-mesh', [count], 5 * minutes), ours),
      cell(
        'mosquitto-bridge-kept',
        probe('backlog-mosquitto', [count], 5 * minutes),
        `${MOSQUITTO}, backlog`,
      ),
    ],
    figures: [
      delivered,
      figure('publishedPerSecond', 'published', 'perSecond'),
      figure('resumedMs', 'first after', 'ms'),
      drained,
      figure('liveP50Ms', 'live p50', 'ms'),
      liveP99,
      figure('liveMaxMs', 'live longest', 'ms'),
      figure('liveSentLateP99Ms', 'live sent late, p99', 'ms'),
    ],
    budgets: [
      {
        text: 'drained / delivered without a backlog',
        bound: 'atLeast',
        limit: 0.5,
        cells: [ours, OURS],
        value: (sampleOf) => drained.of(sampleOf(ours)) / delivered.of(sampleOf(OURS)),
      },
      budgetOf('live p99, ms', 'below', 50, ours, liveP99),
    ],
    note: 'ours is killed; mosquitto, which would lose its sessions, is ended in order. nats does not carry what its leaf took in while the link was down',
  };
}

function partRow(
  id: string,
  title: string,
  plan: ProbePlan,
  figures: readonly Figure[],
  budgets: readonly Budget[],
): Row {
  return { id, title, cells: [{ name: 'ours', target: 'ours-disk', plan }], figures, budgets };
}

export function meshRows(options: BenchOptions): Row[] {
  const { small } = options;
  const dhtP99 = figure('p99Ms', 'p99', 'ms');
  const interestP99 = figure('p99Us', 'p99', 'us');
  return [
    qos1Row(options),
    latencyRow(options),
    qos0Row(options),
    kibibyteRow(options),
    backlogRow(options),
    partRow(
      'mesh-dht',
      'A look-up in a hash table of 20 nodes on this machine',
      probe('dht', [20, small ? 20 : 500], 120_000),
      [figure('p50Ms', 'p50', 'ms'), dhtP99, figure('firstMs', 'the first', 'ms')],
      [budgetOf('p99, ms', 'below', 50, 'ours', dhtP99)],
    ),
    partRow(
      'mesh-route',
      'Which of a hundred gateways want a topic, with 100,000 filters',
      probe('interest', [100, 100_000, small ? 1_000 : 100_000], 120_000),
      [figure('p50Us', 'p50', 'us'), interestP99, figure('foundMean', 'gateways found', 'count')],
      [budgetOf('p99, us', 'below', 1_000, 'ours', interestP99)],
    ),
  ];
}
