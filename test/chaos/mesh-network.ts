/**
 * A network of its own for each gateway, all on one bridge: network namespaces, which need root. What goes from one to another can be
 * dropped, one way too; lines can be made lossy and slow. Without root every gateway is on loopback, and nothing can be cut.
 */
import { spawnSync } from 'node:child_process';
import { atEnd } from '../support/clean-end.js';

/** Where a gateway lives. */
export interface Place {
  readonly name: string;
  /** Where its clients and the other gateways reach it. */
  readonly host: string;
  /** What it listens on. */
  readonly listen: string;
  /** Prefix of the command line. */
  readonly within: readonly string[];
}

/** What `from` sends does not reach `to`. */
export type Way = readonly [from: Place, to: Place];

export interface MeshNetwork {
  readonly places: readonly Place[];
  /** Undefined: it can cut; else why not. */
  readonly cannotCut: string | undefined;
  /** How lines are made slow here; undefined: they cannot be. */
  readonly slowness: string | undefined;
  /** These ways and no others are cut. */
  cut(ways: readonly Way[]): void;
  /** Of what comes from other gateways, this share is lost. */
  lose(percent: number): void;
  slow(place: Place): void;
  /** Nothing is cut, lossy or slow any more. */
  heal(): void;
  close(): void;
}

let networks = 0;

/** @throws Error where a command fails. */
export function run(command: string, input?: string): void {
  const [file = '', ...args] = command.split(' ');
  const { status, stderr, error } = spawnSync(file, args, { input, encoding: 'utf8' });
  if (error !== undefined || status !== 0)
    throw new Error(
      `${command}: ${error?.message ?? stderr.trim()}${input === undefined ? '' : `\n${input}`}`,
    );
}

function succeeds(command: string): boolean {
  const [file = '', ...args] = command.split(' ');
  return spawnSync(file, args).status === 0;
}

let reason: string | undefined | null = null;

/** Why there are no network namespaces here; undefined: there are. */
export function namespacesMissing(): string | undefined {
  if (reason === null) reason = tryNamespaces();
  return reason;
}

const tableOf = (rules: readonly string[]): string =>
  ['table inet chaos {', 'chain in {', 'type filter hook input priority 0;', ...rules, '}', '}', ''].join(
    '\n',
  );

function tryNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `scprobe${process.pid}`;
  try {
    run(`ip netns add ${name}`);
    run(`ip netns exec ${name} nft -f -`, tableOf([]));
    run(`ip -n ${name} link add v0 type veth peer name v1`);
    run(`ip -n ${name} link add b0 type bridge`);
    return undefined;
  } catch (error) {
    return `no network namespaces here: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    spawnSync('ip', ['netns', 'del', name]);
  }
}

/** @param count gateways */
export function createNetwork(count: number): MeshNetwork {
  const missing = namespacesMissing();
  return missing === undefined ? new Namespaces(count) : new Loopback(count, missing);
}

class Loopback implements MeshNetwork {
  readonly places: readonly Place[];
  readonly cannotCut: string;
  readonly slowness = undefined;

  constructor(count: number, why: string) {
    this.cannotCut = why;
    this.places = Array.from({ length: count }, (_, i) => ({
      ...{ name: `g${i + 1}`, host: '127.0.0.1', listen: '127.0.0.1', within: [] },
    }));
  }

  cut(): void {
    throw new Error(this.cannotCut);
  }
  lose(): void {
    throw new Error(this.cannotCut);
  }
  slow(): void {
    throw new Error(this.cannotCut);
  }
  heal(): void {}
  close(): void {}
}

/** Kept ready for 8 processes with 32 networks each. */
function nextPrefix(): string {
  return `10.${64 + (process.pid % 128)}.${networks++ % 256}`;
}

/** One end of a cable is `eth0` in the namespace, the other hangs on the bridge. */
export function plugIn(
  namespace: string,
  bridge: string,
  cable: string,
  address: string,
  device = 'eth0',
): void {
  run(`ip link add ${cable} type veth peer name ${device} netns ${namespace}`);
  run(`ip link set ${cable} master ${bridge} up`);
  run(`ip -n ${namespace} addr add ${address} dev ${device}`);
  run(`ip -n ${namespace} link set ${device} up`);
}

export function addNamespace(name: string): void {
  run(`ip netns add ${name}`);
  run(`ip -n ${name} link set lo up`);
}

export class Namespaces implements MeshNetwork {
  readonly places: readonly Place[];
  readonly cannotCut = undefined;
  readonly slowness: string | undefined;
  readonly bridge: string;
  readonly prefix = nextPrefix();
  readonly #tag = `sc${process.pid % 100_000}${String.fromCharCode(97 + (networks % 26))}`;
  readonly #slowed = new Set<Place>();
  readonly #takeBack: () => void;
  #isClosed = false;

  constructor(count: number) {
    this.bridge = `${this.#tag}br`;
    this.#takeBack = atEnd(() => this.close());
    run(`ip link add ${this.bridge} type bridge forward_delay 0`);
    run(`ip addr add ${this.prefix}.254/24 dev ${this.bridge}`);
    run(`ip link set ${this.bridge} up`);
    this.places = Array.from({ length: count }, (_, i) => this.#place(i + 1));
    this.slowness = this.#slownessHere();
    this.heal();
  }

  #place(number: number): Place {
    const namespace = `${this.#tag}n${number}`;
    const host = `${this.prefix}.${number}`;
    addNamespace(namespace);
    plugIn(namespace, this.bridge, `${this.#tag}c${number}`, `${host}/24`);
    return { name: `g${number}`, host, listen: '0.0.0.0', within: ['ip', 'netns', 'exec', namespace] };
  }

  cut(ways: readonly Way[]): void {
    for (const place of this.places)
      this.#filter(
        place,
        ways.filter(([, to]) => to === place).map(([from]) => `ip saddr ${from.host} drop`),
      );
  }

  lose(percent: number): void {
    const others = `ip saddr ${this.prefix}.1-${this.prefix}.200`;
    for (const place of this.places)
      this.#filter(place, [`${others} numgen random mod 100 < ${percent} drop`]);
  }

  slow(place: Place): void {
    if (this.slowness === undefined) throw new Error('tc cannot do it');
    run(`ip netns exec ${namespaceOf(place)} tc qdisc add dev eth0 root ${this.slowness}`);
    this.#slowed.add(place);
  }

  heal(): void {
    for (const place of this.places) this.#filter(place, []);
    for (const place of this.#slowed) run(`ip netns exec ${namespaceOf(place)} tc qdisc del dev eth0 root`);
    this.#slowed.clear();
  }

  #filter(place: Place, rules: readonly string[]): void {
    run(
      `ip netns exec ${namespaceOf(place)} nft -f -`,
      `table inet chaos\ndelete table inet chaos\n${tableOf(rules)}`,
    );
  }

  #slownessHere(): string | undefined {
    const [place] = this.places;
    if (place === undefined) return undefined;
    const prefix = `ip netns exec ${namespaceOf(place)} tc qdisc`;
    const found = ['netem delay 80ms 20ms loss 2%', 'tbf rate 2mbit burst 16kb latency 300ms'].find((kind) =>
      succeeds(`${prefix} add dev lo root ${kind}`),
    );
    if (found !== undefined) succeeds(`${prefix} del dev lo root`);
    return found;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#takeBack();
    for (const place of this.places) succeeds(`ip netns del ${namespaceOf(place)}`);
    succeeds(`ip link del ${this.bridge}`);
  }
}

export function namespaceOf({ within }: Place): string {
  return within[3] ?? '';
}
