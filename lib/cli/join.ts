import { readFileSync } from 'node:fs';
import { parseConfig } from '../config/index.js';
import { SprawlError } from '../contracts/errors.js';
import { joinMesh } from '../mesh-tools.js';
import { usageError } from './arguments.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { loadGateway } from './gateway-port.js';
import { readSecret } from './password-prompt.js';
import { toolLogger } from './tool-logger.js';
import { runUp } from './up.js';

const OTHER_WAYS = '"-" asks for it, --key-file and SPRAWL_SWARM_KEY hide it as well';

/** @throws SprawlError SWARM_KEY_INVALID */
function readKeyFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/, (open|read).*$/, '') : String(error);
    throw new SprawlError('SWARM_KEY_INVALID', `cannot read the swarm key from ${path}: ${reason}`, {
      details: { path },
      cause: error,
    });
  }
}

/** The key as it was given; undefined: it was not. */
async function givenKey(invocation: Invocation, world: World): Promise<string | undefined> {
  const [argument] = invocation.positionals;
  const path = invocation.value('key-file');
  if (argument !== undefined && path !== undefined)
    throw usageError(invocation.command, 'a swarm key and --key-file exclude each other');
  if (path !== undefined) return readKeyFile(path);
  if (argument === '-') return readSecret('swarm key', world);
  if (argument === undefined) return world.env['SPRAWL_SWARM_KEY'];
  world.stderr.write(
    `warning: a swarm key on the command line can be seen by other users of this machine (ps): ${OTHER_WAYS}\n`,
  );
  return argument;
}

/**
 * `join`: stores a swarm key in the data folder and runs the gateway as `up` does.
 * @param load replaces the gateway in tests. @throws SprawlError SWARM_KEY_INVALID, MESH_EXISTS and others, and as `up`
 */
export async function runJoin(invocation: Invocation, world: World, load = loadGateway): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  if (config.mesh.enabled === false)
    throw usageError(invocation.command, 'mesh.enabled: false and join contradict each other');
  const isNewIdentity = invocation.has('new-identity');
  const keyText = await givenKey(invocation, world);
  if (keyText === undefined && !isNewIdentity)
    throw usageError(
      invocation.command,
      'a swarm key is missing: give it as argument, "-" (asks for it), --key-file or SPRAWL_SWARM_KEY',
    );
  await joinMesh(config, { keyText, isNewIdentity }, toolLogger(world.stderr));
  return runUp(invocation, world, load);
}
