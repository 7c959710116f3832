import { SprawlError } from '../contracts/errors.js';
import { STRING_MAX_BYTES } from '../protocol/topic.js';
import { parsePasswordHash, type PasswordHash } from './password-hash.js';
import { readTextFile, significantLines, trimBlanks } from './text-file.js';

export type PasswordTable = ReadonlyMap<string, PasswordHash>;

/** @throws SprawlError PASSWORD_FILE_INVALID naming file, line and what is wrong, never a password or a hash. */
export async function readPasswordFile(
  path: string,
): Promise<{ table: PasswordTable; worldReadable: boolean }> {
  const { text, worldReadable } = await readTextFile(path, 'PASSWORD_FILE_INVALID');
  return { table: parsePasswordFile(text, path), worldReadable };
}

/** @throws SprawlError PASSWORD_FILE_INVALID naming `file`, line and what is wrong, never a password or a hash. */
export function parsePasswordFile(text: string, file: string): PasswordTable {
  const table = new Map<string, PasswordHash>();
  for (const line of significantLines(text)) {
    const invalid = (what: string) =>
      new SprawlError('PASSWORD_FILE_INVALID', `${file}:${line.number}: ${what}`, {
        details: { file, line: line.number },
      });
    const colon = line.text.indexOf(':');
    if (colon === -1) throw invalid('has no colon: a line is <user>:<hash>');
    const user = trimBlanks(line.text.slice(0, colon));
    const fault = usernameFault(user);
    if (fault !== undefined) throw invalid(fault);
    if (table.has(user)) throw invalid(`the user ${quoteName(user)} has a line above already`);
    try {
      table.set(user, parsePasswordHash(trimBlanks(line.text.slice(colon + 1))));
    } catch (error) {
      throw invalid(`user ${quoteName(user)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return table;
}

/** What is wrong with a name for a password file; undefined: nothing. */
export function usernameFault(user: string): string | undefined {
  if (user === '') return 'the user name is empty';
  if (user.includes(':')) return "the user name holds ':', which ends the name in a password file";
  if (/\p{Cc}/u.test(user)) return 'the user name holds a control character';
  const bytes = Buffer.byteLength(user);
  if (bytes > STRING_MAX_BYTES)
    return `the user name has ${bytes} bytes, more than the ${STRING_MAX_BYTES} of an MQTT string`;
  if (user.startsWith('#')) return "the user name begins with '#', which makes its line a comment";
  if (trimBlanks(user) !== user)
    return 'the user name begins or ends with white space, which is not read back';
  return undefined;
}

const QUOTED_MAX_CHARACTERS = 64;

function quoteName(user: string): string {
  return JSON.stringify(
    user.length <= QUOTED_MAX_CHARACTERS ? user : `${user.slice(0, QUOTED_MAX_CHARACTERS)}…`,
  );
}
