/** The rows of the tables, with the budget of each. */
import type { BenchVersion } from './load-job.js';
import type { BenchOptions, Suite } from './options.js';
import {
  expectKind,
  versionName,
  type Budget,
  type Cell,
  type Figure,
  type JobPlan,
  type Row,
} from './row.js';
import { archiveRows } from './archive-rows.js';
import { meshRows } from './mesh-rows.js';
import { storageRows } from './storage-rows.js';
import type { TargetName } from './targets.js';

/** nats-server 2.9 speaks MQTT 3.1.1 with QoS 0 and 1. */
const NATS_NO_V5 = 'nats-server 2.9 has no MQTT 5';
const NATS_NO_QOS_2 = 'nats-server 2.9 has no MQTT 5 and grants QoS 1 where QoS 2 is asked for: left out';

const PAYLOAD_BYTES = 64;

const delivered: Figure = {
  name: 'delivered',
  unit: 'perSecond',
  of: (sample) => (sample.kind === 'latency' ? sample : expectKind(sample, 'rate')).deliveredPerSecond,
};
const loss: Figure = {
  name: 'loss',
  unit: 'percent',
  of: (sample) => (sample.kind === 'latency' ? sample : expectKind(sample, 'rate')).lossPercent,
};
const p50: Figure = { name: 'p50', unit: 'ms', of: (sample) => expectKind(sample, 'latency').p50Ms };
const p99: Figure = { name: 'p99', unit: 'ms', of: (sample) => expectKind(sample, 'latency').p99Ms };
const lateness: Figure = {
  name: 'sent late, p99',
  unit: 'ms',
  of: (sample) => expectKind(sample, 'latency').sendLatenessP99Ms,
};
const readyMs: Figure = { name: 'ready', unit: 'ms', of: (sample) => expectKind(sample, 'start').readyMs };
const idleMegabytes: Figure = {
  name: 'idle RSS',
  unit: 'megabytes',
  of: (sample) => expectKind(sample, 'start').idleBytes / 1e6,
};
const perConnection: Figure = {
  name: 'each',
  unit: 'kilobytes',
  of: (sample) => expectKind(sample, 'idle').bytesPerConnection / 1e3,
};

const cellName = (target: TargetName, version: BenchVersion): string => `${target}, ${versionName(version)}`;

function ratio(peer: TargetName, atLeast: number): Budget {
  const ours = cellName('ours', 4);
  const theirs = cellName(peer, 4);
  return {
    text: `ours / ${peer}, MQTT 3.1.1`,
    bound: 'atLeast',
    limit: atLeast,
    cells: [ours, theirs],
    value: (sampleOf) => delivered.of(sampleOf(ours)) / delivered.of(sampleOf(theirs)),
  };
}

const v5WithinTwentyPercent: Budget = {
  text: 'ours, MQTT 5 / MQTT 3.1.1',
  bound: 'atLeast',
  limit: 0.8,
  cells: [cellName('ours', 5), cellName('ours', 4)],
  value: (sampleOf) =>
    delivered.of(sampleOf(cellName('ours', 5))) / delivered.of(sampleOf(cellName('ours', 4))),
};

interface ThroughputPlan {
  readonly id: string;
  readonly title: string;
  readonly natsSpeaksIt: boolean;
  readonly atLeast: Readonly<Partial<Record<TargetName, number>>>;
  plan(version: BenchVersion): JobPlan;
}

function throughputRow({ id, title, natsSpeaksIt, atLeast, plan }: ThroughputPlan): Row {
  const cell = (target: TargetName, version: BenchVersion): Cell => ({
    name: cellName(target, version),
    target,
    plan: plan(version),
  });
  const cells = [cell('ours', 4), cell('ours', 5), cell('mosquitto', 4), cell('mosquitto', 5)];
  if (natsSpeaksIt) cells.push(cell('nats', 4));
  cells.push(cell('reflector', 4));
  const budgets: Budget[] = [];
  for (const peer of ['mosquitto', 'nats'] as const) {
    const limit = atLeast[peer];
    if (limit !== undefined) budgets.push(ratio(peer, limit));
  }
  budgets.push(v5WithinTwentyPercent);
  const note = natsSpeaksIt ? NATS_NO_V5 : NATS_NO_QOS_2;
  return { id, title, cells, figures: [delivered, loss], budgets, note };
}

function throughputRows(options: BenchOptions): Row[] {
  const times = timesOf(options);
  const flood =
    (subscribers: number) =>
    (version: BenchVersion): JobPlan => ({
      ...times,
      kind: 'flood',
      version,
      payloadBytes: PAYLOAD_BYTES,
      subscribers,
      creditBytes: options.qos0CreditBytes,
      stopped: false,
    });
  const window =
    (qos: 1 | 2) =>
    (version: BenchVersion): JobPlan => ({
      ...times,
      kind: 'window',
      version,
      payloadBytes: PAYLOAD_BYTES,
      qos,
      pairs: 10,
      windowCount: options.windowCount,
      aheadMaxCount: options.windowCount * 10,
    });
  return [
    {
      id: 'qos0-1to1',
      title: 'QoS 0, one publisher to one subscriber',
      natsSpeaksIt: true,
      atLeast: { mosquitto: 7, nats: 1.5 },
      plan: flood(1),
    },
    {
      id: 'qos0-1to50',
      title: 'QoS 0, one publisher to fifty subscribers (deliveries)',
      natsSpeaksIt: true,
      atLeast: { mosquitto: 20, nats: 3 },
      plan: flood(50),
    },
    {
      id: 'qos1-10to10',
      title: 'QoS 1, ten publishers on ten topics to ten subscribers, from memory',
      natsSpeaksIt: true,
      atLeast: { mosquitto: 4 },
      plan: window(1),
    },
    {
      id: 'qos2-10to10',
      title: 'QoS 2, ten publishers on ten topics to ten subscribers, from memory',
      natsSpeaksIt: false,
      atLeast: { mosquitto: 3 },
      plan: window(2),
    },
  ].map(throughputRow);
}

const END_TO_END_PER_SECOND = 3_000;
const P99_ALLOWANCE_MS = 2;
const P99_RATIO = 1.5;

function endToEndRow(qos: 0 | 1, options: BenchOptions): Row {
  const version = 4;
  const targets = ['ours', 'mosquitto', 'nats', 'reflector'] as const;
  const ours = cellName('ours', version);
  const theirs = cellName('mosquitto', version);
  const plan: JobPlan = {
    ...timesOf(options),
    kind: 'paced',
    version,
    payloadBytes: PAYLOAD_BYTES,
    qos,
    subscribers: 1,
    ratePerSecond: END_TO_END_PER_SECOND,
    stopped: false,
  };
  return {
    id: `latency-qos${qos}`,
    title: `End to end at 3,000 msg/s, QoS ${qos}, one publisher to one subscriber`,
    cells: targets.map((target) => ({ name: cellName(target, version), target, plan })),
    figures: [p50, p99, delivered, lateness],
    budgets: [
      {
        text: 'p50, ours / mosquitto',
        bound: 'atMost',
        limit: 1,
        cells: [ours, theirs],
        value: (sampleOf) => p50.of(sampleOf(ours)) / p50.of(sampleOf(theirs)),
      },
      {
        text: 'p99, ours / larger of 2 ms, 1.5 x mosquitto',
        bound: 'atMost',
        limit: 1,
        cells: [ours, theirs],
        value: (sampleOf) =>
          p99.of(sampleOf(ours)) / Math.max(P99_ALLOWANCE_MS, P99_RATIO * p99.of(sampleOf(theirs))),
      },
    ],
  };
}

const CROWD = 100;
const CROWD_SMALL = 10;
const CROWD_PER_SECOND = 500;

/** The other ninety-nine with the hundredth reading, and with it stopped. */
function stoppedRow(qos: 0 | 1, options: BenchOptions): Row {
  const version = 4;
  const crowd = options.small ? CROWD_SMALL : CROWD;
  const cell = (target: TargetName, stopped: boolean): Cell => ({
    name: crowdName(target, stopped),
    target,
    plan: {
      ...timesOf(options),
      kind: 'paced',
      version,
      payloadBytes: PAYLOAD_BYTES,
      qos,
      subscribers: stopped ? crowd - 1 : crowd,
      ratePerSecond: CROWD_PER_SECOND,
      stopped,
    },
  });
  const all = crowdName('ours', false);
  const without = crowdName('ours', true);
  return {
    id: `stopped-qos${qos}`,
    title: `A stopped subscriber among a hundred, QoS ${qos}, 500 msg/s to each`,
    cells: [cell('ours', false), cell('ours', true), cell('mosquitto', false), cell('mosquitto', true)],
    figures: [p50, p99, delivered, loss],
    budgets: [
      {
        text: 'p99 of the others rises by (ms)',
        bound: 'atMost',
        limit: 10,
        cells: [all, without],
        value: (sampleOf) => p99.of(sampleOf(without)) - p99.of(sampleOf(all)),
      },
      {
        text: 'rate of each other, stopped / all reading',
        bound: 'above',
        limit: 0.95,
        cells: [all, without],
        value: (sampleOf) =>
          delivered.of(sampleOf(without)) / (crowd - 1) / (delivered.of(sampleOf(all)) / crowd),
      },
    ],
  };
}
const crowdName = (target: TargetName, stopped: boolean): string =>
  `${target}, ${stopped ? 'one stopped' : 'all reading'}`;

/** As fast as the ninety-nine go, so that what the stopped one costs cannot hide in spare time. No budget is set for it. */
function stoppedFloodRow(options: BenchOptions): Row {
  const crowd = options.small ? CROWD_SMALL : CROWD;
  const cell = (target: TargetName, stopped: boolean): Cell => ({
    name: crowdName(target, stopped),
    target,
    plan: {
      ...timesOf(options),
      kind: 'flood',
      version: 4,
      payloadBytes: PAYLOAD_BYTES,
      subscribers: stopped ? crowd - 1 : crowd,
      creditBytes: options.qos0CreditBytes,
      stopped,
    },
  });
  return {
    id: 'stopped-flood',
    title: 'A stopped subscriber among a hundred, QoS 0 at full speed (for information)',
    cells: [cell('ours', false), cell('ours', true), cell('mosquitto', false), cell('mosquitto', true)],
    figures: [delivered, loss],
    budgets: [],
  };
}

const IDLE_CONNECTIONS = 5_000;
const IDLE_CONNECTIONS_SMALL = 100;
const SETTLE_MS = 8_000;
const SETTLE_SMALL_MS = 250;

function idleRow(subscribe: boolean, options: BenchOptions): Row {
  const connections = options.small ? IDLE_CONNECTIONS_SMALL : IDLE_CONNECTIONS;
  const targets = ['ours', 'mosquitto', 'nats'] as const;
  const plan: JobPlan = {
    kind: 'idle',
    version: 4,
    payloadBytes: PAYLOAD_BYTES,
    warmUpMs: 0,
    measureMs: options.small ? SETTLE_SMALL_MS : SETTLE_MS,
    connections,
    subscribe,
  };
  return {
    id: subscribe ? 'idle-subscribed' : 'idle',
    title: `${connections} idle connections${subscribe ? ', each with one subscription' : ''}: resident memory`,
    cells: targets.map((target) => ({ name: target, target, plan })),
    figures: [perConnection],
    budgets: [
      {
        text: 'ours, kilobytes each',
        bound: 'atMost',
        limit: 20,
        cells: ['ours'],
        value: (sampleOf) => perConnection.of(sampleOf('ours')),
      },
    ],
  };
}

function startRow(): Row {
  const targets = ['ours', 'mosquitto', 'nats'] as const;
  return {
    id: 'start',
    title: 'From the start of the process to the first CONNACK, and resident memory then',
    cells: targets.map((target) => ({ name: target, target, plan: 'start' as const })),
    figures: [readyMs, idleMegabytes],
    budgets: [
      {
        text: 'ours ready, ms',
        bound: 'below',
        limit: 1_000,
        cells: ['ours'],
        value: (sampleOf) => readyMs.of(sampleOf('ours')),
      },
      {
        text: 'ours idle, MB',
        bound: 'below',
        limit: 90,
        cells: ['ours'],
        value: (sampleOf) => idleMegabytes.of(sampleOf('ours')),
      },
    ],
  };
}

function timesOf(options: BenchOptions): { readonly warmUpMs: number; readonly measureMs: number } {
  return { warmUpMs: options.warmUpSeconds * 1000, measureMs: options.seconds * 1000 };
}

const cachedUs: Figure = { name: 'cached', unit: 'us', of: (sample) => expectKind(sample, 'route').cachedUs };
const uncachedUs: Figure = {
  name: 'uncached',
  unit: 'us',
  of: (sample) => expectKind(sample, 'route').uncachedUs,
};
const worst = (name: string, of: Figure['of']): Figure => ({ name, unit: 'us', of });

function routeRow(options: BenchOptions): Row {
  const seconds = options.small ? 0.05 : options.seconds / 2;
  return {
    id: 'route',
    title: 'Route look-up with 100,000 filters (no server: the router alone)',
    cells: [{ name: 'ours', target: 'ours', plan: { kind: 'route', seconds } }],
    figures: [
      cachedUs,
      worst('slowest thousand', (sample) => expectKind(sample, 'route').cachedWorstUs),
      uncachedUs,
      worst('slowest thousand', (sample) => expectKind(sample, 'route').uncachedWorstUs),
    ],
    budgets: [
      {
        text: 'cached, us',
        bound: 'below',
        limit: 5,
        cells: ['ours'],
        value: (sampleOf) => cachedUs.of(sampleOf('ours')),
      },
      {
        text: 'uncached, us',
        bound: 'below',
        limit: 50,
        cells: ['ours'],
        value: (sampleOf) => uncachedUs.of(sampleOf('ours')),
      },
    ],
  };
}

/** All rows that the options ask for, with the cells of the chosen targets. */
export function benchRows(options: BenchOptions): Row[] {
  const mqtt = [
    ...throughputRows(options),
    endToEndRow(0, options),
    endToEndRow(1, options),
    stoppedRow(0, options),
    stoppedRow(1, options),
    stoppedFloodRow(options),
    idleRow(false, options),
    idleRow(true, options),
    startRow(),
  ];
  const suites: Readonly<Record<Suite, readonly Row[]>> = {
    mqtt,
    route: [routeRow(options)],
    storage: storageRows(options),
    mesh: meshRows(options),
    archive: archiveRows(options),
  };
  const rows = options.suites.flatMap((suite) => suites[suite]);
  const isWanted = (id: string): boolean =>
    options.only.length === 0 || options.only.some((prefix) => id.startsWith(prefix));
  return rows
    .filter(({ id }) => isWanted(id))
    .map((row) => ({ ...row, cells: row.cells.filter(({ target }) => options.targets.includes(target)) }));
}
