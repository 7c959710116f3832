import { parseConfig } from '../config/index.js';
import { foundMesh } from '../mesh-tools.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { toolLogger } from './tool-logger.js';

/** `init`: makes a mesh. @throws SprawlError MESH_EXISTS and others */
export async function runInit(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const { swarmKey, adminKey } = await foundMesh(config, toolLogger(world.stderr));
  const folder = invocation.value('data-dir');
  const up = `sprawl-edge up${folder === undefined ? '' : ` --data-dir ${folder}`}`;
  world.stdout.write(`A new mesh. This gateway (${config.dataDir}) is its first member.

Swarm key. Whoever has it can join:

    ${swarmKey}

Admin key. It invites and evicts gateways. It is shown this once and is stored nowhere: write it down, keep it offline:

    ${adminKey}

Next steps:

    ${up}
    sprawl-edge join -          on each further gateway: asks for the swarm key, then starts it
    sprawl-edge peers           who has joined
`);
  return ExitCode.done;
}
