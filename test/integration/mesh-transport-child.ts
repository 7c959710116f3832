/** A gateway's transport in a process of its own, to be killed. Settings are JSON in the first argument; writes one line when it listens. */
import { SwarmKey } from '../../mesh/admission/swarm-key.js';
import type { HostPort } from '../../mesh/transport/index.js';
import { LOCAL, TestGateway } from './mesh-transport.js';

interface ChildSettings {
  readonly swarmKey: string;
  readonly bootstrap: readonly HostPort[];
  readonly hasTcp: boolean;
}

function parseSettings(text: string): ChildSettings {
  return JSON.parse(text) as ChildSettings;
}

const { swarmKey, bootstrap, hasTcp } = parseSettings(process.argv[2] ?? '');
const gateway = new TestGateway({
  swarmKey: SwarmKey.parse(swarmKey),
  bootstrap,
  listen: { host: LOCAL, tcpPort: hasTcp ? 0 : undefined, udpPort: 0 },
});
await gateway.transport.start();
process.stdout.write(`${JSON.stringify({ id: gateway.id, addresses: gateway.transport.addresses })}\n`);
