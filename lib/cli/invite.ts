import { parseConfig } from '../config/index.js';
import { SprawlError } from '../contracts/errors.js';
import { signInvitation } from '../mesh-tools.js';
import { readAdminKey } from './admin-key.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { toolLogger } from './tool-logger.js';

const DEFAULT_DAYS = '7';
/** As many decimals as are taken: a minute and a half. */
const MIN_DAYS = 0.001;
const MAX_DAYS = 3650;
const DAY_MS = 86_400_000;

/** `invite`: a swarm key with an end date, for somebody else. @throws SprawlError USAGE, ADMIN_KEY_INVALID, ADMIN_KEY_WRONG, MESH_MISSING */
export async function runInvite(invocation: Invocation, world: World): Promise<number> {
  const forMs = parseDays(invocation.value('days') ?? DEFAULT_DAYS) * DAY_MS;
  const config = parseConfig(configSources(invocation, world));
  const adminKey = await readAdminKey(invocation, world);
  const { text, endsAtMs } = await signInvitation(config, { adminKey, forMs }, toolLogger(world.stderr));
  world.stdout
    .write(`An invitation, until ${new Date(endsAtMs).toISOString()}. Whoever has it can join, and make the swarm key from it:

    ${text}

For the one who is invited:

    sprawl-edge join -          asks for it
`);
  return ExitCode.done;
}

/** @throws SprawlError USAGE */
function parseDays(text: string): number {
  const days = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (days >= MIN_DAYS && days <= MAX_DAYS) return days;
  throw new SprawlError(
    'USAGE',
    `--days ${JSON.stringify(text)}: it takes days from ${MIN_DAYS} to ${MAX_DAYS}, with at most three decimals, such as 7 or 0.5`,
  );
}
