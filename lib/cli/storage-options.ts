import type { OptionSpec } from './command.js';
import { CONFIG_OPTIONS } from './config-options.js';

/** What says which folder is meant, and which keys open it. */
export const DATA_OPTIONS: readonly OptionSpec[] = CONFIG_OPTIONS.filter(({ long }) =>
  ['config', 'data-dir', 'set'].includes(long),
);

export const STATS_OPTIONS: readonly OptionSpec[] = [
  ...DATA_OPTIONS,
  { long: 'json', description: 'Print it for programs.' },
];

export const RESTORE_OPTIONS: readonly OptionSpec[] = [
  ...DATA_OPTIONS,
  {
    long: 'from-archive',
    description:
      'From what the gateway archived, in place of a backup: the messages that it retained, and those that can be looked up by topic and time. The archive is that of --target, or archive.target of the configuration.',
  },
  {
    long: 'history',
    values: ['DURATION'],
    description:
      'With --from-archive: how far back messages can be looked up: 12h, 3d; 0s: not at all. Default, and most: storage.keepMaxAgeS, and what storage.keepMaxBytes has room for.',
  },
  {
    long: 'target',
    values: ['URL'],
    key: 'archive.target',
    description: 'With --from-archive: where the archive is: file:///FOLDER or s3://BUCKET[/PREFIX].',
  },
  {
    long: 'origin',
    values: ['ID'],
    description:
      'With --from-archive, of an archive of several gateways: the one that was lost. The first characters of its id are enough.',
  },
  {
    long: 'force',
    description:
      'Of a backup: move a data folder that is there to FOLDER.before-restore-TIME, instead of refusing.',
  },
];
