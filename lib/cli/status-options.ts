import { ASKED_OPTIONS } from './asked-gateway.js';
import type { OptionSpec } from './command.js';

export const STATUS_OPTIONS: readonly OptionSpec[] = [
  ...ASKED_OPTIONS,
  { long: 'mesh', description: 'List all gateways of its mesh too: status, load, and why one is not well.' },
  { long: 'json', description: 'Print what the gateway said, for programs.' },
];
