import { constants } from 'node:fs';
import { access, writeFile } from 'node:fs/promises';
import { SprawlError } from '../contracts/errors.js';
import { usernameFault } from '../security/password-file.js';
import { deleteFromPasswordFile, updatePasswordFile } from '../security/password-file-edit.js';
import { hashPassword } from '../security/password-hash.js';
import { usageError } from './arguments.js';
import type { Invocation, World } from './command.js';
import { ExitCode } from './exit-code.js';
import { readNewPassword } from './password-prompt.js';

const PASSWORD_FILE_MODE = 0o600;

/** @throws SprawlError PASSWORD_FILE_INVALID */
async function expectFile(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/, access .*$/, '') : String(error);
    const wayOut = reason.startsWith('ENOENT')
      ? '-c creates it'
      : 'it takes the right to read and to write the file: see its owner and mode, or use the account that has it';
    throw new SprawlError('PASSWORD_FILE_INVALID', `cannot change ${path}: ${reason}; ${wayOut}`, {
      cause: error,
    });
  }
}

async function emptyFile(path: string): Promise<void> {
  try {
    await writeFile(path, '', { mode: PASSWORD_FILE_MODE });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SprawlError('PASSWORD_FILE_INVALID', `cannot create ${path}: ${reason}`, { cause: error });
  }
}

async function newPassword(invocation: Invocation, world: World): Promise<string> {
  const password = invocation.positionals[2];
  if (invocation.has('batch')) {
    if (password === undefined) throw usageError(invocation.command, '-b needs PASSWORD on the command line');
    return password;
  }
  if (password !== undefined) throw usageError(invocation.command, 'a password on the command line needs -b');
  return readNewPassword(world);
}

/** `passwd`: with the habits of mosquitto_passwd. */
export async function runPasswd(invocation: Invocation, world: World): Promise<number> {
  const [path = '', user = ''] = invocation.positionals;
  const create = invocation.has('create');
  const fault = usernameFault(user);
  if (fault !== undefined) throw usageError(invocation.command, fault);
  if (invocation.has('delete')) {
    if (create) throw usageError(invocation.command, '-c and -D exclude each other');
    await expectFile(path);
    if (await deleteFromPasswordFile(path, user)) return ExitCode.done;
    world.stderr.write(`sprawl-edge: ${path} has no user ${JSON.stringify(user)}\n`);
    return ExitCode.failed;
  }
  if (!create) await expectFile(path);
  const password = await newPassword(invocation, world);
  const hash = await hashPassword(password, {
    format: invocation.has('scram') ? 'scram-sha-256' : 'pbkdf2-sha512',
  });
  if (create) await emptyFile(path);
  await updatePasswordFile(path, user, hash);
  return ExitCode.done;
}
