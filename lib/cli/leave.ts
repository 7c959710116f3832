import { parseConfig } from '../config/index.js';
import { SprawlError } from '../contracts/errors.js';
import { leaveMesh } from '../mesh-tools.js';
import { givenUrl } from './asked-gateway.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { askGateway, expectDone, urlOf } from './gateway-http.js';
import { toolLogger } from './tool-logger.js';

async function askToLeave(url: string, world: World): Promise<number> {
  expectDone(url, await askGateway(url, '/mesh/leave', new Uint8Array(0)));
  world.stdout.write(`the gateway at ${url} has left its mesh; its clients are served on\n`);
  return ExitCode.done;
}

/** `leave`: out of the mesh, by the data folder of a stopped gateway or by asking a running one. @throws SprawlError MESH_MISSING, HTTP_FAILED */
export async function runLeave(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const url = givenUrl(invocation);
  if (url !== undefined) return askToLeave(url, world);
  try {
    await leaveMesh(config, toolLogger(world.stderr));
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'STORAGE_LOCKED')
      return askToLeave(urlOf(config), world);
    throw error;
  }
  world.stdout.write(`${config.dataDir} is in no mesh any more; messages and sessions are untouched\n`);
  return ExitCode.done;
}
