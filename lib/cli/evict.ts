import { parseConfig } from '../config/index.js';
import { SprawlError } from '../contracts/errors.js';
import { shortId } from '../contracts/gateway-id.js';
import { signEviction, type SignedStatement } from '../mesh-tools.js';
import { readAdminKey } from './admin-key.js';
import { givenUrl } from './asked-gateway.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { askGateway, expectDone, urlOf } from './gateway-http.js';
import { toolLogger } from './tool-logger.js';

/** @returns whether a running gateway has it already */
async function hand(url: string | undefined, fallback: string, statement: SignedStatement): Promise<boolean> {
  if (url === undefined) {
    try {
      await statement.store();
      return false;
    } catch (error) {
      if (!(error instanceof SprawlError) || error.code !== 'STORAGE_LOCKED') throw error;
    }
  }
  const target = url ?? fallback;
  expectDone(target, await askGateway(target, '/mesh/evict', Uint8Array.from(statement.frame)));
  return true;
}

/** `evict`: says with the admin key that a gateway is no member any more. @throws SprawlError ADMIN_KEY_INVALID, ADMIN_KEY_WRONG and others */
export async function runEvict(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const adminKey = await readAdminKey(invocation, world);
  const statement = await signEviction(
    config,
    { adminKey, gateway: invocation.positionals[0] ?? '', reason: invocation.value('reason') ?? '' },
    toolLogger(world.stderr),
  );
  const isTold = await hand(givenUrl(invocation), urlOf(config), statement);
  const how = isTold ? 'the others are being told' : 'the others are told when this gateway is started';
  world.stdout.write(`evicted ${shortId(statement.gateway)} (${statement.gateway}): ${how}\n`);
  return ExitCode.done;
}
