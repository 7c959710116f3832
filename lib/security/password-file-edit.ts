/**
 * Changes of a password file, line by line: other lines, comments, order and line ends stay as they are, also lines that could not be
 * read as users. The file is whole at every moment: the new one is synced, then takes the old one's name. Two changes at
 * the same time may lose one of the two.
 */
import { randomBytes } from 'node:crypto';
import { open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncFolder } from '../contracts/durable-folder.js';
import { SprawlError } from '../contracts/errors.js';
import { usernameFault } from './password-file.js';
import { parsePasswordHash } from './password-hash.js';

const NEW_FILE_MODE = 0o600;

/**
 * Sets the line of `user`, in its place or at the end; a missing file is created with mode 0600, an existing one keeps its mode.
 * @param hash as `hashPassword` returns it.
 * @throws SprawlError USAGE for a name that cannot stand in the file, PASSWORD_FILE_INVALID where the file cannot be read or written.
 */
export async function updatePasswordFile(path: string, user: string, hash: string): Promise<void> {
  const fault = usernameFault(user);
  if (fault !== undefined) throw new SprawlError('USAGE', fault);
  parsePasswordHash(hash);
  await edit(path, (lines) => {
    const entry = `${toLatin1(user)}:${hash}`;
    const at = lines.findIndex((line) => userOf(line) === toLatin1(user));
    if (at === -1) return [...endLast(lines), `${entry}\n`];
    const kept = lines.filter((line, index) => index <= at || userOf(line) !== toLatin1(user));
    return kept.map((line, index) => (index === at ? `${entry}${/\r?\n$/.exec(line)?.[0] ?? '\n'}` : line));
  });
}

/**
 * Removes the line of `user`.
 * @returns false where there was none; the file is then untouched.
 * @throws SprawlError PASSWORD_FILE_INVALID where the file cannot be read or written.
 */
export async function deleteFromPasswordFile(path: string, user: string): Promise<boolean> {
  let found = false;
  await edit(path, (lines) => {
    const kept = lines.filter((line) => userOf(line) !== toLatin1(user));
    found = kept.length < lines.length;
    return found ? kept : undefined;
  });
  return found;
}

/** Lines are handled as Latin-1, one character for each byte, so that bytes that are not UTF-8 survive. */
function toLatin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function userOf(line: string): string | undefined {
  const colon = line.indexOf(':');
  if (colon === -1 || /^[ \t\r\v\f]*#/.test(line)) return undefined;
  return line.slice(0, colon).replace(/^[ \t\r\v\f]+|[ \t\r\v\f]+$/g, '');
}

function endLast(lines: readonly string[]): string[] {
  return lines.map((line) => (line.endsWith('\n') ? line : `${line}\n`));
}

/** @param change the new lines, each with its line end; undefined: no change. */
async function edit(path: string, change: (lines: string[]) => string[] | undefined): Promise<void> {
  try {
    const current = await readCurrent(path);
    const lines = change(current.text.match(/[^\n]*\n|[^\n]+$/g) ?? []);
    if (lines !== undefined) await replaceFile(current, Buffer.from(lines.join(''), 'latin1'));
  } catch (error) {
    if (error instanceof SprawlError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new SprawlError('PASSWORD_FILE_INVALID', `${path}: cannot be changed: ${reason}`, {
      details: { file: path },
      cause: error,
    });
  }
}

interface CurrentFile {
  /** Where the file itself is, behind symbolic links. */
  readonly path: string;
  readonly text: string;
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

async function readCurrent(path: string): Promise<CurrentFile> {
  try {
    const target = await realpath(path);
    const status = await stat(target);
    const text = await readFile(target, 'latin1');
    return { path: target, text, mode: status.mode & 0o7777, owner: { uid: status.uid, gid: status.gid } };
  } catch (error) {
    if (!isMissing(error)) throw error;
    return { path, text: '', mode: NEW_FILE_MODE, owner: undefined };
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

async function replaceFile(current: CurrentFile, bytes: Uint8Array): Promise<void> {
  const folder = dirname(current.path);
  const temporary = join(folder, `.${basename(current.path)}.${randomBytes(6).toString('hex')}.new`);
  try {
    await writeSynced(temporary, bytes, current);
    await rename(temporary, current.path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncFolder(folder);
}

async function writeSynced(path: string, bytes: Uint8Array, like: CurrentFile): Promise<void> {
  const file = await open(path, 'wx', NEW_FILE_MODE);
  try {
    await file.writeFile(bytes);
    if (like.owner !== undefined && process.getuid?.() === 0)
      await file.chown(like.owner.uid, like.owner.gid);
    await file.chmod(like.mode);
    await file.sync();
  } finally {
    await file.close();
  }
}
