import { readFileSync } from 'node:fs';
import { SprawlError } from '../contracts/errors.js';
import type { Invocation, World } from './command.js';
import { readSecret } from './password-prompt.js';

/** The text of the admin key, from `--admin-key-file`, the terminal or standard input. @throws SprawlError ADMIN_KEY_INVALID */
export async function readAdminKey(invocation: Invocation, world: World): Promise<string> {
  const path = invocation.value('admin-key-file');
  if (path === undefined) return readSecret('admin key', world);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/, (open|read).*$/, '') : String(error);
    throw new SprawlError('ADMIN_KEY_INVALID', `cannot read the admin key from ${path}: ${reason}`, {
      details: { path },
      cause: error,
    });
  }
}
