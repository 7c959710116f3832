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
    long: 'force',
    description: 'Move a data folder that is there to FOLDER.before-restore-TIME, instead of refusing.',
  },
];
