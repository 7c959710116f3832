/** The rows of the archive suite, with the budget of each. */
import type { BenchOptions } from './options.js';
import { budget, figure, probe, probeRow } from './probe-rows.js';
import type { Row } from './row.js';

const TIMEOUT_MS = 300_000;

export function archiveRows({ small, seconds }: BenchOptions): Row[] {
  const million = small ? 1000 : 1_000_000;
  const rate = (id: string, where: string, name: string, atLeast: number): Row =>
    probeRow(
      id,
      `A log of ${million} messages of 256 B of JSON to ${where}, as Parquet, from the moment that the gateway serves`,
      probe(name, [million], TIMEOUT_MS),
      [
        figure('perSecond', 'archived', 'perSecond'),
        figure('extraMegabytes', 'beyond the idle gateway', 'megabytes'),
        figure('bytesPerMessage', 'bytes of a message in it', 'count'),
        figure('objects', 'files', 'count'),
      ],
      [
        budget('archived, messages a second', 'atLeast', atLeast, 'perSecond'),
        budget('memory beyond the idle gateway, MB', 'atMost', 150, 'extraMegabytes'),
      ],
    );
  const live = (id: string, where: string, name: string): Row =>
    probeRow(
      id,
      `Messages of QoS 1 at 2,000/s while a backlog goes to ${where}, and without one`,
      probe(name, small ? [60_000, 0.2] : [3_000_000, seconds], TIMEOUT_MS),
      [
        figure('withoutMs', 'p99 without', 'ms'),
        figure('withMs', 'p99 meanwhile', 'ms'),
        figure('archivedPerSecond', 'archived meanwhile', 'perSecond'),
      ],
      [budget('p99 meanwhile / without', 'atMost', 2, 'ratio')],
    );
  return [
    rate('archive-folder', 'a folder', 'archive-folder', 100_000),
    rate('archive-s3', 'an S3 server on this machine', 'archive-s3', 50_000),
    live('archive-live-folder', 'a folder', 'archive-live-folder'),
    live('archive-live-s3', 'an S3 server on this machine', 'archive-live-s3'),
  ];
}
