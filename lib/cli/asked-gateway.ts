/** Where commands find the gateway that they ask. */
import { parseConfig } from '../config/index.js';
import { usageError } from './arguments.js';
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

/** What `--url` says, where it is given. @throws SprawlError USAGE */
export function givenUrl(invocation: Invocation): string | undefined {
  const text = invocation.value('url');
  if (text === undefined || (/^https?:\/\//i.test(text) && URL.canParse(text))) return text;
  throw usageError(
    invocation.command,
    `--url ${JSON.stringify(text)} is no address of HTTP: it takes http://HOST:PORT, such as http://127.0.0.1:8880`,
  );
}

/** @throws SprawlError USAGE, CONFIG_FILE_UNREADABLE, CONFIG_INVALID */
export function askedUrl(invocation: Invocation, world: World): string {
  return givenUrl(invocation) ?? urlOf(parseConfig(configSources(invocation, world)));
}
