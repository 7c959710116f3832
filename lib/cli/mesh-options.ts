import type { OptionSpec } from './command.js';
import { ASKED_OPTIONS } from './asked-gateway.js';
import { CONFIG_OPTIONS } from './config-options.js';
import { DATA_OPTIONS } from './storage-options.js';

const SITE_OPTION: readonly OptionSpec[] = CONFIG_OPTIONS.filter(({ long }) => long === 'site');

export const INIT_OPTIONS: readonly OptionSpec[] = [...DATA_OPTIONS, ...SITE_OPTION];

export const JOIN_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'key-file',
    values: ['FILE'],
    description: 'Read the swarm key from FILE.',
  },
  {
    long: 'new-identity',
    description:
      'Make this a new gateway, with a key pair of its own: the way out where a data folder was copied. Without a swarm key, that of the data folder stays.',
  },
  ...CONFIG_OPTIONS,
];

const ASK_OPTION: OptionSpec = {
  long: 'url',
  short: 'u',
  values: ['URL'],
  description:
    'Ask the gateway that answers HTTP here, whatever the data folder. Default where the data folder is in use: the port of the configuration.',
};

export const LEAVE_OPTIONS: readonly OptionSpec[] = [...DATA_OPTIONS, ASK_OPTION];

export const MESH_STATUS_OPTIONS: readonly OptionSpec[] = [
  ...ASKED_OPTIONS,
  { long: 'json', description: 'Print what the gateway said, for programs.' },
];

const ADMIN_KEY_OPTION: OptionSpec = {
  long: 'admin-key-file',
  values: ['FILE'],
  description: 'Read the admin key from FILE. Without it, it is asked for, or read from standard input.',
};

export const INVITE_OPTIONS: readonly OptionSpec[] = [
  ...DATA_OPTIONS,
  {
    long: 'days',
    values: ['DAYS'],
    description: 'How long it is taken, also part of a day such as 0.5 (default 7).',
  },
  ADMIN_KEY_OPTION,
];

export const EVICT_OPTIONS: readonly OptionSpec[] = [
  ...DATA_OPTIONS,
  { long: 'reason', values: ['TEXT'], description: 'Why, for people: at most 200 bytes.' },
  ADMIN_KEY_OPTION,
  {
    ...ASK_OPTION,
    description:
      'Tell the gateway that answers HTTP here; the data folder is that of a member of the same mesh all the same, which knows whose admin key it is. Default where the data folder is in use: the port of the configuration.',
  },
];

export const BOOTSTRAP_OPTIONS: readonly OptionSpec[] = [
  { long: 'host', values: ['HOST'], description: 'Address to listen on (default 0.0.0.0: every network).' },
  {
    long: 'port',
    values: ['PORT'],
    description: 'UDP port (default 49737); the two above it are used as well.',
  },
];
