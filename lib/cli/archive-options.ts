import { CONNECTION_OPTIONS } from './client/client-options.js';
import type { OptionSpec } from './command.js';
import { MESH_STATUS_OPTIONS } from './mesh-options.js';
import { DATA_OPTIONS } from './storage-options.js';

const JSON_OPTION: OptionSpec = { long: 'json', description: 'Print it for programs.' };

/** What says which archive is meant. */
const ARCHIVE_OPTIONS: readonly OptionSpec[] = [
  ...DATA_OPTIONS,
  {
    long: 'target',
    values: ['URL'],
    key: 'archive.target',
    description:
      'Where the archive is: file:///FOLDER or s3://BUCKET[/PREFIX] (default: archive.target of the configuration, else the folder archive in the data folder).',
  },
];

const ORIGIN: OptionSpec = {
  long: 'origin',
  values: ['ID'],
  description: 'Only what this gateway took in; the first characters of its id are enough. May be repeated.',
};

const TIMES: readonly OptionSpec[] = [
  {
    long: 'from',
    values: ['TIME'],
    description:
      'Only from this time on: 2026-11-29, 2026-11-29T07:30:00Z (UTC without a zone), -2h, -3d, now.',
  },
  { long: 'to', values: ['TIME'], description: 'Only before this time, written in the same way.' },
];

const TOPIC: OptionSpec = {
  long: 'topic',
  short: 't',
  values: ['FILTER'],
  description: 'Only topics of this filter. May be repeated.',
};

const SELECTION_OPTIONS: readonly OptionSpec[] = [TOPIC, ...TIMES, ORIGIN];

export const ARCHIVE_LS_OPTIONS: readonly OptionSpec[] = [
  ...SELECTION_OPTIONS,
  { long: 'objects', description: 'List every object.' },
  JSON_OPTION,
  ...ARCHIVE_OPTIONS,
];

export const ARCHIVE_CAT_OPTIONS: readonly OptionSpec[] = [
  ...SELECTION_OPTIONS,
  { long: 'limit', values: ['COUNT'], description: 'End after this many messages.' },
  { long: 'verbose', short: 'v', description: 'Print topic and payload, as "sprawl-edge sub -v" does.' },
  { long: 'payload-only', description: 'Print payloads, one in a line.' },
  {
    long: 'format',
    short: 'F',
    values: ['FORMAT'],
    description:
      'How each message is printed, as with "sprawl-edge sub"; its time is the one at which the gateway took it in.',
  },
  { long: 'no-newline', short: 'N', description: 'With -v, -F or --payload-only: no line feed after each.' },
  ...ARCHIVE_OPTIONS,
];

export const ARCHIVE_VERIFY_OPTIONS: readonly OptionSpec[] = [
  { long: 'deep', description: 'Read every object, and look at every row.' },
  {
    long: 'log',
    description:
      'Compare with the log of the gateway whose data folder --data-dir names, message by message. It may run.',
  },
  {
    long: 'url',
    short: 'u',
    values: ['URL'],
    description:
      'With --log: where the gateway that uses the data folder answers HTTP (default: what http.host and http.port of the configuration say).',
  },
  ORIGIN,
  JSON_OPTION,
  ...ARCHIVE_OPTIONS,
];

export const ARCHIVE_LIFECYCLE_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'keep-days',
    values: ['DAYS'],
    description: 'check: how long archived data has to stay; a rule that removes it sooner is dangerous.',
  },
  {
    long: 'abort-uploads-days',
    values: ['DAYS'],
    description:
      'set: abort uploads that were begun so long ago and never finished (default 7). 0, also for check: no rule, since the store does that by itself (MinIO, after a day).',
  },
  {
    long: 'transition',
    values: ['CLASS:DAYS'],
    description: 'set: move archived data, and not the manifest, to this storage class after so many days.',
  },
  {
    long: 'expire-days',
    values: ['DAYS'],
    description:
      'set: remove archived data after so many days, and not the manifest: "archive verify" then names it as missing. Needs --yes.',
  },
  {
    long: 'expire-noncurrent-days',
    values: ['DAYS'],
    description: 'set: in a bucket with versions, remove for good what was removed so many days ago.',
  },
  { long: 'yes', description: 'set: yes, remove archived data.' },
  {
    long: 'dry-run',
    description: 'set: print what all rules of the bucket would be, as JSON, and write nothing.',
  },
  {
    long: 'abort-older-than',
    values: ['DAYS'],
    description:
      'show, check: abort uploads that were begun so long ago; 0: also those that a gateway is writing now, which begins them again.',
  },
  JSON_OPTION,
  ...ARCHIVE_OPTIONS,
];

export const ARCHIVE_COMPACT_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'min-bytes',
    values: ['BYTES'],
    description: 'Objects that are smaller are merged (default 16777216: 16 MiB).',
  },
  {
    long: 'target-bytes',
    values: ['BYTES'],
    description: 'What goes into one merged object at most (default 134217728: 128 MiB).',
  },
  {
    long: 'grace',
    values: ['DURATION'],
    description:
      'How long after a merge the objects that it replaced stay, for those who are reading them: 90s, 15m, 24h, 3d (default 24h).',
  },
  {
    long: 'litter',
    description:
      'Also remove what was made for a merge that was never written. Only while nobody else compacts this archive.',
  },
  {
    long: 'rekey',
    description:
      'Also write again what is encrypted with an older key than the first one of archive.encryptionKeyFile, or not at all.',
  },
  { long: 'dry-run', short: 'n', description: 'Print what would be done, and do nothing.' },
  ORIGIN,
  JSON_OPTION,
  ...ARCHIVE_OPTIONS,
];

export const ARCHIVE_FINISH_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'give-up-rest',
    description:
      'Tell in the archive that what is known of beyond the copies is lost. Only of a gateway that never comes back: it could not archive that any more.',
  },
  ...MESH_STATUS_OPTIONS,
];

export const ARCHIVE_REPLAY_OPTIONS: readonly OptionSpec[] = [
  ...SELECTION_OPTIONS,
  {
    long: 'prefix',
    values: ['PREFIX'],
    description: 'What topics get before them (default replay/; "" is nothing).',
  },
  {
    long: 'speed',
    values: ['SPEED'],
    description:
      'original: with the pauses that there were; a number: so many times as fast; max: as fast as the broker acknowledges (default original).',
  },
  { long: 'retain', description: 'Publish with the retain flag what had it (default: nothing).' },
  {
    long: 'max-inflight',
    short: 'M',
    values: ['COUNT'],
    description: 'Messages sent before the first is acknowledged (default 100).',
  },
  ...ARCHIVE_OPTIONS,
  ...CONNECTION_OPTIONS.filter(({ long }) => !long.startsWith('will-')),
];
