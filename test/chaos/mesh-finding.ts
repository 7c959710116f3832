/** How gateways find each other where nobody told them an address: on one network, and behind two routers. */
import { Recording } from './judgement.js';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MeshFormation } from './mesh-formation.js';
import { type MeshGateway, within } from './mesh-gateway.js';
import {
  addNamespace,
  type MeshNetwork,
  Namespaces,
  type Place,
  namespaceOf,
  namespacesMissing,
  run,
} from './mesh-network.js';
import type { ProofReport } from './report.js';

const BIN = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));
const BOOTSTRAP_PORT = 49_737;

/** Gateways on one network, without peers and without a DHT. */
export async function meshLan(count: number): Promise<ProofReport> {
  const missing = namespacesMissing();
  if (missing !== undefined) return { figures: {}, failures: [], skipped: [`finding on a LAN: ${missing}`] };
  const recording = new Recording('lan');
  const formation = new MeshFormation({ folder: recording.folder, count, set: { 'mesh.lan': 'true' } });
  const failures: string[] = [];
  const figures: Record<string, string | number> = {};
  try {
    await formation.start({ peers: false });
    figures['all linked after ms'] = Math.round(formation.metMs);
  } catch (error) {
    failures.push(String(error));
  } finally {
    await formation.close();
    recording.close({ keep: failures.length > 0 });
  }
  return { figures, failures };
}

/** Two sites behind a router each, with private addresses, and a bootstrap node and a third gateway between them. */
export async function meshNat(): Promise<ProofReport> {
  const missing = namespacesMissing();
  if (missing !== undefined) return { figures: {}, failures: [], skipped: [`NAT: ${missing}`] };
  const recording = new Recording('nat');
  const network = new NattedNetwork();
  const { prefix } = network.outside;
  const bootstrap = spawn(
    'ip',
    ['netns', 'exec', network.middle, process.execPath, BIN, 'bootstrap', '--host', `${prefix}.3`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const formation = new MeshFormation({
    ...{ folder: recording.folder, count: 3, network: network.asMeshNetwork() },
    set: { 'mesh.bootstrap': `${prefix}.3:${BOOTSTRAP_PORT}` },
  });
  const failures: string[] = [];
  const figures: Record<string, string | number> = {};
  try {
    await new Promise((resolve) => bootstrap.stdout.once('data', resolve));
    await formation.start({ peers: false, mayBeRelayed: true });
    figures['all linked after ms'] = Math.round(formation.metMs);
    await within(15_000, async () => (await pathOf(formation.gateways)) === 'udx', 500);
    figures['between the two behind routers'] = await pathOf(formation.gateways);
  } catch (error) {
    failures.push(String(error));
  } finally {
    bootstrap.kill('SIGTERM');
    await formation.close();
    recording.close({ keep: failures.length > 0 });
  }
  return { figures, failures };
}

async function pathOf([a, b]: readonly MeshGateway[]): Promise<string> {
  const status = await a?.status();
  return status?.peers.find(({ id }) => id === b?.id)?.path ?? 'nothing';
}

const nothing = (): void => {};

/** The first two places are behind routers, the third is outside. */
class NattedNetwork {
  readonly outside = new Namespaces(3);
  readonly places: readonly Place[];
  readonly middle: string;
  readonly #made: string[] = [];

  constructor() {
    const [first, second, third] = this.outside.places;
    if (first === undefined || second === undefined || third === undefined) throw new Error('no places');
    this.middle = namespaceOf(third);
    this.places = [this.#behind(first, 1), this.#behind(second, 2), third];
  }

  #behind(router: Place, site: number): Place {
    const gate = namespaceOf(router);
    const inner = `${gate}i`;
    addNamespace(inner);
    this.#made.push(inner);
    const subnet = `192.168.${site}`;
    run(`ip -n ${gate} link add lan0 type veth peer name eth0 netns ${inner}`);
    run(`ip -n ${gate} addr add ${subnet}.1/24 dev lan0`);
    run(`ip -n ${gate} link set lan0 up`);
    run(`ip -n ${inner} addr add ${subnet}.2/24 dev eth0`);
    run(`ip -n ${inner} link set eth0 up`);
    run(`ip -n ${inner} route add default via ${subnet}.1`);
    run(`ip netns exec ${gate} sysctl -qw net.ipv4.ip_forward=1`);
    // Clients and the harness come in by ports that are forwarded; the mesh has none.
    run(
      `ip netns exec ${gate} nft -f -`,
      [
        'table ip nat {',
        'chain post { type nat hook postrouting priority 100;',
        'oif eth0 masquerade',
        '}',
        'chain pre { type nat hook prerouting priority -100;',
        `iif eth0 tcp dport { 1883, 8880 } dnat to ${subnet}.2`,
        '}',
        '}',
        '',
      ].join('\n'),
    );
    return { ...router, within: ['ip', 'netns', 'exec', inner] };
  }

  /** Nothing is cut in it. */
  asMeshNetwork(): MeshNetwork {
    return {
      ...{ places: this.places, cannotCut: undefined, slowness: undefined },
      ...{ cut: nothing, lose: nothing, slow: nothing, heal: nothing },
      close: () => this.close(),
    };
  }

  close(): void {
    for (const name of this.#made) run(`ip netns del ${name}`);
    this.outside.close();
  }
}
