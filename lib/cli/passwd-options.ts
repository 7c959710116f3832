import type { OptionSpec } from './command.js';

/** Letters as those of mosquitto_passwd. */
export const PASSWD_OPTIONS: readonly OptionSpec[] = [
  { long: 'create', short: 'c', description: 'Create FILE; one that exists is emptied first.' },
  { long: 'delete', short: 'D', description: 'Delete USER from FILE.' },
  {
    long: 'batch',
    short: 'b',
    description: 'Take PASSWORD from the command line, where other users of the machine can see it.',
  },
  {
    long: 'scram',
    description:
      'Store what SCRAM-SHA-256 needs (sprawl-edge only) instead of the PBKDF2 hash that mosquitto reads too.',
  },
];
