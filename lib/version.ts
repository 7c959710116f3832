import { readFileSync } from 'node:fs';

function parseVersion(json: string): string {
  const { version } = JSON.parse(json) as { version?: unknown };
  return typeof version === 'string' ? version : 'unknown';
}

/** Of the package, from the package.json that lies two folders above the compiled file. */
export const version = parseVersion(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
