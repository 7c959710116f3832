import { type BootstrapOptions, type BootstrapNode, runBootstrap } from '../mesh-tools.js';
import { usageError } from './arguments.js';
import type { Invocation, ProcessEvent, World } from './command.js';
import { ExitCode } from './exit-code.js';
import { startFailure } from './start-failure.js';

export const BOOTSTRAP_PORT = 49_737;
const PORT_MAX = 65_535;
const STOP_SIGNALS: readonly ProcessEvent[] = ['SIGINT', 'SIGTERM'];

function portOf(invocation: Invocation): number {
  const text = invocation.value('port') ?? String(BOOTSTRAP_PORT);
  // Gateways have to know it in advance: "any free one" would help nobody.
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= PORT_MAX) return Number(text);
  throw usageError(
    invocation.command,
    `--port needs a whole number from 1 to ${PORT_MAX}, not ${JSON.stringify(text)}`,
  );
}

/** `bootstrap`: runs until SIGINT or SIGTERM. @param run replaces the node in tests. @throws SprawlError LISTEN_FAILED */
export async function runBootstrapCommand(
  invocation: Invocation,
  world: World,
  run: (options: BootstrapOptions) => Promise<BootstrapNode> = runBootstrap,
): Promise<number> {
  const options = { host: invocation.value('host') ?? '0.0.0.0', port: portOf(invocation) };
  const stopped = new Promise<void>((resolve) => {
    for (const signal of STOP_SIGNALS) world.process.on(signal, () => resolve());
  });
  let node: BootstrapNode;
  try {
    node = await run(options);
  } catch (error) {
    throw startFailure(error);
  }
  world.stdout.write(`gateways begin their search here with --bootstrap ${node.host}:${node.port} (UDP)\n`);
  await stopped;
  await node.close();
  return ExitCode.done;
}
