/** Where commands find the gateway that they ask. */
import { parseConfig } from '../config/index.js';
import type { Invocation, OptionSpec, World } from './command.js';
import { CONFIG_OPTIONS } from './config-options.js';
import { configSources } from './config-sources.js';
import { urlOf } from './gateway-http.js';

export const ASKED_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'url',
    short: 'u',
    values: ['URL'],
    description:
      'Where the gateway answers HTTP (default: what http.host and http.port of its configuration say; without one http://127.0.0.1:8880).',
  },
  ...CONFIG_OPTIONS.filter(({ long }) => long === 'config'),
];

/** @throws SprawlError CONFIG_FILE_UNREADABLE, CONFIG_INVALID */
export function askedUrl(invocation: Invocation, world: World): string {
  return invocation.value('url') ?? urlOf(parseConfig(configSources(invocation, world)));
}
