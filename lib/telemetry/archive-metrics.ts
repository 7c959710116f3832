/** What Prometheus gets to know of the archive. */
import type {
  ArchivesStatus,
  ArchiveStatus,
  ServedStatus,
  StandbyStatus,
} from '../contracts/archive-status.js';
import type { Family } from './family.js';

type ArchiveMetric = Family<ArchivesStatus>;

const STATES = ['starting', 'idle', 'working', 'failing', 'waiting', 'stopped'] as const;

function one(
  name: string,
  type: ArchiveMetric['type'],
  help: string,
  value: (archive: ArchiveStatus) => number,
): ArchiveMetric {
  return {
    ...{ name, type, help },
    samples: (all) => eachOf(all).map(([target, status]) => ({ labels: { target }, value: value(status) })),
  };
}

function eachOf(status: ArchivesStatus): (readonly [target: string, status: ArchiveStatus])[] {
  const { copy } = status;
  return copy === null
    ? [['first', status]]
    : [
        ['first', status],
        ['copy', copy],
      ];
}

const STANDBY_STATES = ['keeping', 'apart', 'incomplete', 'finishing', 'failing', 'finished'] as const;

/** Of each gateway that is kept for. */
function kept(
  name: string,
  type: ArchiveMetric['type'],
  help: string,
  value: (status: StandbyStatus) => number | null,
): ArchiveMetric {
  return {
    ...{ name, type, help },
    samples: ({ standby }) =>
      standby.flatMap((status) => {
        const found = value(status);
        return found === null ? [] : [{ labels: { gateway: status.gateway }, value: found }];
      }),
  };
}

const STANDBY_METRICS: readonly ArchiveMetric[] = [
  {
    name: 'sprawl_archive_standby_state',
    type: 'gauge',
    help: 'State of what is kept for another gateway: 1 for the one that it is in.',
    samples: ({ standby }) =>
      standby.flatMap(({ gateway, state }) =>
        STANDBY_STATES.map((one) => ({ labels: { gateway, state: one }, value: state === one ? 1 : 0 })),
      ),
  },
  kept(
    'sprawl_archive_standby_archived_position',
    'gauge',
    'Position of its log up to where its archive is, as it says.',
    ({ archivedUpTo }) => archivedUpTo,
  ),
  kept(
    'sprawl_archive_standby_kept_position',
    'gauge',
    'Position of its log up to where its archive can be finished from here.',
    ({ keptUpTo }) => keptUpTo,
  ),
  kept(
    'sprawl_archive_standby_held_bytes',
    'gauge',
    'Log of this gateway that is held for it, about.',
    ({ heldBytes }) => heldBytes,
  ),
  kept(
    'sprawl_archive_standby_rows_total',
    'counter',
    'Messages that were brought into its archive from here.',
    ({ rows }) => rows,
  ),
];

export const ARCHIVE_METRICS: readonly ArchiveMetric[] = [
  {
    name: 'sprawl_archive_state',
    type: 'gauge',
    help: 'State of the archive: 1 for the one that it is in.',
    samples: (all) =>
      eachOf(all).flatMap(([target, status]) =>
        STATES.map((state) => ({ labels: { target, state }, value: status.state === state ? 1 : 0 })),
      ),
  },
  one(
    'sprawl_archive_backlog_bytes',
    'gauge',
    'Log that waits to be archived, about.',
    ({ backlog }) => backlog.bytes,
  ),
  one(
    'sprawl_archive_backlog_max_bytes',
    'gauge',
    'Log that may wait to be archived.',
    ({ backlog }) => backlog.maxBytes,
  ),
  one(
    'sprawl_archive_oldest_waiting_seconds',
    'gauge',
    'How long the oldest of it has waited, as far as this process knows.',
    ({ backlog }) => backlog.ageS,
  ),
  one(
    'sprawl_archive_failures',
    'gauge',
    'How often in a row it failed; 0: it does not.',
    ({ failures }) => failures,
  ),
  one('sprawl_archive_rows_total', 'counter', 'Messages in the files that were made.', ({ rows }) => rows),
  one('sprawl_archive_bytes_total', 'counter', 'Bytes of the files that were made.', ({ bytes }) => bytes),
  one('sprawl_archive_objects_total', 'counter', 'Files that were made.', ({ objects }) => objects),
  one(
    'sprawl_archive_entries_total',
    'counter',
    'Entries of the manifest that were written.',
    ({ entries }) => entries,
  ),
  one(
    'sprawl_archive_dropped_positions_total',
    'counter',
    'Positions of the log that were given up because there was no room.',
    ({ dropped }) => dropped,
  ),
  ...STANDBY_METRICS,
];

/** Of a gateway that archives for others. */
export const SERVED_METRICS: readonly Family<ServedStatus>[] = [
  {
    name: 'sprawl_archive_served_requests_total',
    type: 'counter',
    help: 'Requests of other gateways to the archive of this one, by what became of them.',
    samples: ({ done, failed, refused }) =>
      Object.entries({ done, failed, refused }).map(([result, value]) => ({ labels: { result }, value })),
  },
  {
    name: 'sprawl_archive_served_bytes_total',
    type: 'counter',
    help: 'Bytes of files that came from other gateways to be archived.',
    samples: ({ bytes }) => [{ labels: {}, value: bytes }],
  },
];
