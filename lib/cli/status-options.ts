import type { OptionSpec } from './command.js';

export const STATUS_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'url',
    short: 'u',
    values: ['URL'],
    description: 'Where the gateway answers HTTP. Default: http://127.0.0.1:8880.',
  },
  { long: 'mesh', description: 'List all gateways of its mesh too: status, load, and why one is not well.' },
  { long: 'json', description: 'Print what the gateway said, for programs.' },
];
