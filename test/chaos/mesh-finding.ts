/** How gateways find each other where nobody told them an address: on one network, and behind two routers. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';
import { Recording } from './judgement.js';
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
/** A machine looks every five seconds for new networks. */
const PLUGGED_MAX_MS = 15_000;
/** Ports are tried at random for 15 s; where that found none, which is one time in sixteen, again after half a minute. */
const DIRECT_MAX_MS = 90_000;

type Figures = Record<string, string | number>;

/** Gateways on one network, without peers, without a DHT and without a default route; then on networks that come later. */
export async function meshLan(count: number): Promise<ProofReport> {
  const missing = namespacesMissing();
  if (missing !== undefined) return { figures: {}, failures: [], skipped: [`finding on a LAN: ${missing}`] };
  const figures: Figures = {};
  const failures: string[] = [];
  await attempt('lan', failures, async (folder, later) => {
    const formation = new MeshFormation({ folder, count, set: { 'mesh.lan': 'true' } });
    later(() => formation.close());
    await formation.start({ peers: false });
    figures['all linked after ms'] = Math.round(formation.metMs);
  });
  await attempt('cables', failures, async (folder, later) => {
    const [left, middle, right] = [1, 2, 3].map(() => new Namespaces(1));
    if (left === undefined || middle === undefined || right === undefined) throw new Error('no networks');
    const networks = [left, middle, right];
    const places = networks.flatMap((network, i) =>
      network.places.map((place) => ({ ...place, name: `g${i + 1}` })),
    );
    const network = harmless(places, () => networks.forEach((one) => one.close()));
    const formation = new MeshFormation({ folder, count: 3, network, set: { 'mesh.lan': 'true' } });
    later(() => formation.close());
    await formation.start({ peers: false, meet: false });
    const [a, b, c] = formation.gateways;
    if (a === undefined || b === undefined || c === undefined) throw new Error('no gateways');
    const meet = async (what: string, pair: readonly MeshGateway[]): Promise<void> => {
      const tookMs = await formation.whenLinked(PLUGGED_MAX_MS, pair);
      if (tookMs === undefined) failures.push(`${what}: ${await formation.unlinked(pair)}`);
      else figures[`${what}, linked after ms`] = Math.round(tookMs);
    };
    cable(a, b);
    await meet('a cable between two', [a, b]);
    // Under the name and the address of the last one: the list of networks is the same again.
    run(`ip -n ${namespaceOf(a.options.place)} link del eth1`);
    cable(a, c);
    await meet('another cable in its place', [a, c]);
  });
  return { figures, failures };
}

/** A network of two, beside those that they are on. */
function cable(from: MeshGateway, to: MeshGateway): void {
  const [left, right] = [from, to].map(({ options }) => namespaceOf(options.place));
  run(`ip -n ${left} link add eth1 type veth peer name eth1 netns ${right}`);
  for (const [namespace, address] of [
    [left, '172.30.0.1/30'],
    [right, '172.30.0.2/30'],
  ] as const) {
    run(`ip -n ${namespace} addr add ${address} dev eth1`);
    run(`ip -n ${namespace} link set eth1 up`);
  }
}

/** `even`: one port of the router for one port within, whoever is spoken to. `random`: another one for everyone who is spoken to. */
type Mapping = 'even' | 'random';

interface NatExpectation {
  readonly mappings: readonly [Mapping, Mapping];
  /** Of the link between the two. */
  readonly path: 'udx' | 'relayed';
  /** What is said of a path that is not direct. */
  readonly reason?: RegExp;
}

const NATS: Readonly<Record<string, NatExpectation>> = {
  'two routers with even ports': { mappings: ['even', 'even'], path: 'udx' },
  'random ports behind one router': { mappings: ['even', 'random'], path: 'udx' },
  'two routers with random ports': {
    ...{ mappings: ['random', 'random'], path: 'relayed' },
    reason: /the router here takes another port for each destination/,
  },
};

/** Two sites behind a router each, with private addresses; a third gateway and a bootstrap node are between them. */
export async function meshNat(): Promise<ProofReport> {
  const missing = namespacesMissing();
  if (missing !== undefined) return { figures: {}, failures: [], skipped: [`NAT: ${missing}`] };
  const figures: Figures = {};
  const failures: string[] = [];
  for (const [name, expectation] of Object.entries(NATS))
    // One after the other: each needs the machine.
    // eslint-disable-next-line no-await-in-loop
    await attempt(name.replaceAll(' ', '-'), failures, (folder, later) =>
      throughRouters(name, expectation, folder, later, figures, failures),
    );
  return { figures, failures };
}

async function throughRouters(
  name: string,
  { mappings, path, reason }: NatExpectation,
  folder: string,
  later: (clean: () => unknown) => void,
  figures: Figures,
  failures: string[],
): Promise<void> {
  const network = new NattedNetwork(mappings);
  const bootstrap = await startBootstrap(network.meetingPoint);
  later(() => bootstrap.kill('SIGTERM'));
  const formation = new MeshFormation({
    ...{ folder, count: 3, network: harmless(network.places, () => network.close()) },
    set: { 'mesh.bootstrap': `${network.meetingPoint.host}:${BOOTSTRAP_PORT}` },
  });
  later(() => formation.close());
  await formation.start({ peers: false, mayBeRelayed: true });
  figures[`${name}: all linked after ms`] = Math.round(formation.metMs);
  const pair = formation.gateways.slice(0, 2);
  const tookMs = await within(DIRECT_MAX_MS, async () => {
    const ends = await linksOf(pair);
    return ends.every((end) => end?.path === path && (reason?.test(end.reason ?? '') ?? true));
  });
  const ends = await linksOf(pair);
  const text = ends.map((end) => `${end?.path} at ${end?.remoteAddress} (${end?.reason})`).join(' and ');
  figures[`${name}: link`] = text;
  if (tookMs === undefined) failures.push(`${name}: the link is ${text}, not ${path}`);
  else figures[`${name}: so after ms`] = Math.round(tookMs);
}

type Links = readonly (
  NonNullable<Awaited<ReturnType<MeshGateway['status']>>>['peers'][number] | undefined
)[];

/** Of two, each with the other. */
async function linksOf([a, b]: readonly MeshGateway[]): Promise<Links> {
  const [atA, atB] = await Promise.all([a?.status(), b?.status()]);
  return [atA?.peers.find(({ id }) => id === b?.id), atB?.peers.find(({ id }) => id === a?.id)];
}

/** Runs one part with a folder of its own, which is kept where it failed. What was made is undone in reverse. */
async function attempt(
  name: string,
  failures: string[],
  part: (folder: string, later: (clean: () => unknown) => void) => Promise<void>,
): Promise<void> {
  const recording = new Recording(name);
  const before = failures.length;
  const cleaning: (() => unknown)[] = [];
  try {
    await part(recording.folder, (clean) => cleaning.unshift(clean));
  } catch (error) {
    failures.push(`${name}: ${String(error)}`);
  } finally {
    // eslint-disable-next-line no-await-in-loop
    for (const clean of cleaning) await clean();
    recording.close({ keep: failures.length > before });
  }
}

/** @returns when it takes questions */
async function startBootstrap({ host, within: [file = '', ...prefix] }: Place): Promise<ChildProcess> {
  const node = spawn(...cleanCommand(file, [...prefix, process.execPath, BIN, 'bootstrap', '--host', host]), {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: cleanEnvironment(),
  });
  await once(node.stdout, 'data');
  return node;
}

const nothing = (): void => {};

/** A network in which nothing is cut. */
function harmless(places: readonly Place[], close: () => void): MeshNetwork {
  return {
    ...{ places, cannotCut: undefined, slowness: undefined },
    ...{ cut: nothing, lose: nothing, slow: nothing, heal: nothing, close },
  };
}

/** The first two places are behind routers, the third is outside, and so is the bootstrap node. */
class NattedNetwork {
  readonly places: readonly Place[];
  readonly meetingPoint: Place;
  readonly #outside = new Namespaces(4);
  readonly #made: string[] = [];

  constructor([left, right]: readonly [Mapping, Mapping]) {
    const [first, second, third, fourth] = this.#outside.places;
    if (first === undefined || second === undefined || third === undefined || fourth === undefined)
      throw new Error('no places');
    this.places = [this.#behind(first, 1, left), this.#behind(second, 2, right), third];
    this.meetingPoint = fourth;
  }

  #behind(router: Place, site: number, mapping: Mapping): Place {
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
    run(
      `ip netns exec ${gate} nft -f -`,
      [
        'table ip nat {',
        'chain post { type nat hook postrouting priority 100;',
        `oif eth0 masquerade${mapping === 'random' ? ' random,fully-random' : ''}`,
        '}',
        // Clients and the harness come in by ports that are forwarded; the mesh has none.
        'chain pre { type nat hook prerouting priority -100;',
        `iif eth0 tcp dport { 1883, 8880 } dnat to ${subnet}.2`,
        '}',
        '}',
        // As every router at home: what nobody within has asked for is dropped. Else it would be a connection of the router itself, and take
        // the port away from the answer that is on its way.
        'table ip filter {',
        'chain in { type filter hook input priority 0;',
        'iif eth0 ct state established,related accept',
        'iif eth0 drop',
        '}',
        '}',
        '',
      ].join('\n'),
    );
    return { ...router, within: ['ip', 'netns', 'exec', inner] };
  }

  close(): void {
    for (const name of this.#made) run(`ip netns del ${name}`);
    this.#outside.close();
  }
}
