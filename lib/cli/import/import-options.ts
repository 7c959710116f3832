import type { OptionSpec } from '../command.js';

export const IMPORT_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'out',
    values: ['FILE'],
    description: 'Write the configuration to FILE; one that exists is left alone.',
  },
  { long: 'force', description: 'Overwrite the FILE of --out.' },
  { long: 'json', description: 'Print what became of each line, and the configuration, for programs.' },
];
