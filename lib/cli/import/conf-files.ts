import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SprawlError } from '../../contracts/errors.js';
import { parseConf, placeOf, type Directive } from './directive.js';

/**
 * Every line of a mosquitto.conf, with those of its include_dir where mosquitto reads them. Relative folders are relative to
 * the working directory, as in mosquitto. Blocks.
 * @throws SprawlError CONFIG_FILE_UNREADABLE naming the file, and the line that includes it
 */
export function readConf(path: string): Directive[] {
  return parseConf(readText(path, ''), path).flatMap((directive) => {
    if (directive.name !== 'include_dir') return [directive];
    const place = `, included at ${placeOf(directive)}`;
    const files = confNames(directive.value, place).map((name) => join(directive.value, name));
    return [directive, ...files.flatMap((file) => parseConf(readText(file, place), file))];
  });
}

function confNames(folder: string, place: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.conf'))
      .sort(inMosquittosOrder);
  } catch (error) {
    throw unreadable(`the folder ${JSON.stringify(folder)}${place}`, error);
  }
}

/** By letters, where only their case differs upper case first: 00, A, a, B, b. */
export function inMosquittosOrder(left: string, right: string): number {
  const [lowerLeft, lowerRight] = [left.toLowerCase(), right.toLowerCase()];
  if (lowerLeft !== lowerRight) return lowerLeft < lowerRight ? -1 : 1;
  return left < right ? -1 : Number(left > right);
}

function readText(path: string, place: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(`${JSON.stringify(path)}${place}`, error);
  }
}

function unreadable(what: string, error: unknown): SprawlError {
  const reason =
    error instanceof Error ? error.message.replace(/, (open|read|scandir).*$/, '') : String(error);
  return new SprawlError(
    'CONFIG_FILE_UNREADABLE',
    `cannot read ${what}: ${reason}; run the import where mosquitto runs, as a user who may read its files`,
    { cause: error },
  );
}
