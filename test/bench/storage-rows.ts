/** The rows of the storage suite, with the budget of each; beside every figure the raw disk of the same round. */
import type { BenchOptions } from './options.js';
import { budget, figure, figureOf, probe, PROBE, probeRow } from './probe-rows.js';
import { expectKind, type Figure, type Row } from './row.js';

const PAYLOAD_BYTES = 256;
const DISK = 'ours-disk, MQTT 3.1.1';
const MOSQUITTO = 'mosquitto, MQTT 3.1.1';
const RAW = 'raw disk';

const rate: Figure = {
  name: 'delivered',
  unit: 'perSecond',
  of: (sample) => expectKind(sample, 'rate').deliveredPerSecond,
};
const ackP99: Figure = {
  name: 'acknowledged, p99',
  unit: 'ms',
  of: (sample) => (sample.kind === 'figures' ? NaN : expectKind(sample, 'latency').ackP99Ms),
};

export function storageRows(options: BenchOptions): Row[] {
  const { small, seconds, warmUpSeconds, enduranceSeconds } = options;
  const times = { warmUpMs: warmUpSeconds * 1000, measureMs: seconds * 1000 };
  const million = small ? 1000 : 1_000_000;
  const raw = { name: RAW, target: 'ours-disk' as const, plan: probe('write', [small ? 0.1 : 1], 60_000) };
  return [
    {
      id: 'disk-qos1',
      title: 'QoS 1, 256 B, ten publishers with a window of 100, synced before each acknowledgement',
      cells: (
        [
          ['ours-disk', DISK],
          ['mosquitto', MOSQUITTO],
        ] as const
      ).map(([target, name]) => ({
        name,
        target,
        plan: {
          ...times,
          kind: 'window',
          version: 4,
          payloadBytes: PAYLOAD_BYTES,
          qos: 1,
          pairs: 10,
          windowCount: options.windowCount,
          aheadMaxCount: options.windowCount * 10,
        },
      })),
      figures: [rate],
      budgets: [
        {
          text: 'ours on disk, messages a second',
          bound: 'atLeast',
          limit: 100_000,
          cells: [DISK],
          value: (sampleOf) => rate.of(sampleOf(DISK)),
        },
        {
          text: 'ours on disk / mosquitto from memory',
          bound: 'atLeast',
          limit: 2,
          cells: [DISK, MOSQUITTO],
          value: (sampleOf) => rate.of(sampleOf(DISK)) / rate.of(sampleOf(MOSQUITTO)),
        },
      ],
    },
    {
      id: 'disk-ack',
      title: 'Acknowledgement of QoS 1 at 20,000 msg/s, beside 32 KiB and fdatasync on the raw disk',
      cells: [
        {
          name: DISK,
          target: 'ours-disk',
          plan: {
            ...times,
            kind: 'paced',
            version: 4,
            payloadBytes: PAYLOAD_BYTES,
            qos: 1,
            subscribers: 1,
            ratePerSecond: small ? 1000 : 20_000,
            batch: 20,
            stopped: false,
          },
        },
        raw,
      ],
      figures: [
        ackP99,
        figure('rawP50Ms', 'raw, p50', 'ms'),
        figure('rawP99Ms', 'raw, p99', 'ms'),
        figure('rawWaitP99Ms', 'raw, p99 of messages at that rate', 'ms'),
      ],
      budgets: [
        {
          text: 'p99 less 2 ms / raw p99',
          bound: 'atMost',
          limit: 2,
          cells: [DISK, RAW],
          value: (sampleOf) => (ackP99.of(sampleOf(DISK)) - 2) / figureOf(sampleOf(RAW), 'rawP99Ms'),
        },
        {
          text: 'p99 less 2 ms / raw p99 of messages at that rate',
          bound: 'atMost',
          limit: 2,
          cells: [DISK, RAW],
          value: (sampleOf) => (ackP99.of(sampleOf(DISK)) - 2) / figureOf(sampleOf(RAW), 'rawWaitP99Ms'),
        },
      ],
    },
    probeRow(
      'disk-write',
      'The store alone: messages of 256 B that are synced, and the CPU of a commit at 20,000 msg/s',
      probe('write', [small ? 0.1 : seconds], 120_000),
      [
        figure('perSecond', 'written', 'perSecond'),
        figure('commitCpuMs', 'CPU of a commit', 'ms'),
        figure('rawP50Ms', 'raw, p50', 'ms'),
        figure('rawP99Ms', 'raw, p99', 'ms'),
      ],
      [
        budget('written, messages a second', 'atLeast', 100_000, 'perSecond'),
        budget('CPU of a commit, ms', 'below', 1, 'commitCpuMs'),
      ],
    ),
    probeRow(
      'disk-read',
      `A backlog of ${million} messages read back from the disk`,
      probe('read', [million], 240_000),
      [figure('perSecond', 'read', 'perSecond')],
      [budget('read, messages a second', 'atLeast', 200_000, 'perSecond')],
    ),
    probeRow(
      'disk-find',
      `A hundred messages by topic and time, of ${10 * million} stored in a thousand topics`,
      probe('find', [10 * million], 900_000),
      [
        figure('p50Ms', 'p50', 'ms'),
        figure('p99Ms', 'p99', 'ms'),
        figure('firstMs', 'the first of the process', 'ms'),
        figure('foundMean', 'found', 'count'),
      ],
      [budget('p99, ms', 'below', 5, 'p99Ms')],
    ),
    probeRow(
      'disk-recovery',
      `kill -9 with ${million} messages and ${million / 1000} sessions in the log alone, until it takes connections again`,
      probe('recovery', [million, million / 1000], 240_000),
      [figure('readyMs', 'ready', 'ms'), figure('messages', 'messages', 'count')],
      [budget('ready, ms', 'below', 5000, 'readyMs')],
      'without a checkpoint, which is the most that a start can have to do; each message waits for one of the sessions',
    ),
    probeRow(
      'disk-bytes',
      'Bytes written for each byte of record, subscribers online, checkpoints and snapshots included',
      probe('bytes', [small ? 0.2 : 10], 120_000),
      [figure('writtenPerRecordByte', 'written', 'times'), figure('messages', 'messages', 'count')],
      [budget('written / record', 'atMost', 1.3, 'writtenPerRecordByte')],
    ),
    probeRow(
      'disk-endurance',
      `${enduranceSeconds} s of writing at full speed, in pieces of 10 s`,
      probe('endurance', [enduranceSeconds], (enduranceSeconds * 2 + 120) * 1000),
      [
        figure('meanPerSecond', 'mean', 'perSecond'),
        figure('slowestPerSecond', 'slowest 10 s', 'perSecond'),
        figure('longestGapMs', 'longest without a delivery', 'ms'),
        figure('rawP99Ms', 'raw, p99', 'ms'),
        figure('rawMaxMs', 'raw, longest', 'ms'),
      ],
      [
        {
          text: 'longest without a delivery less 2 ms / longest of the raw disk beside it',
          bound: 'atMost',
          limit: 2,
          cells: [PROBE],
          value: (sampleOf) =>
            (figureOf(sampleOf(PROBE), 'longestGapMs') - 2) / figureOf(sampleOf(PROBE), 'rawMaxMs'),
        },
      ],
    ),
    probeRow(
      'queues',
      'Enqueue and dequeue of a message that waits, in memory',
      probe('queues', [], 60_000),
      [
        figure('memoryEnqueueUs', 'enqueue, no disk', 'us'),
        figure('memoryDequeueUs', 'dequeue', 'us'),
        figure('diskEnqueueUs', 'enqueue, over the log', 'us'),
        figure('diskDequeueUs', 'dequeue', 'us'),
      ],
      [
        budget('enqueue over the log, us', 'below', 1, 'diskEnqueueUs'),
        budget('dequeue over the log, us', 'below', 1, 'diskDequeueUs'),
      ],
    ),
  ];
}
