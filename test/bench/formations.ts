/**
 * Servers that pass messages on to each other: what is published at the first is received at the second. How each kind is
 * configured, started and joined; a formation counts as started when a message has made the way.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { greet } from './greeter.js';
import { Run } from './run.js';
import { startServer, type Command, type ServerProcess } from './server-process.js';
import { Subscriber } from './subscriber.js';
import { LAUNCHER, TARGETS, mosquittoLines } from './targets.js';
import { freePort } from '../support/free-port.js';

export const FORMATION_NAMES = [
  'ours-mesh',
  'ours-mesh-three',
  'mosquitto-bridge',
  'mosquitto-bridge-kept',
  'nats-leaf',
] as const;
export type FormationName = (typeof FORMATION_NAMES)[number];

/** One server of several; it can be ended and started again on the same port and files. */
export class Member {
  readonly #name: string;
  readonly #command: Command;
  readonly #folder: string;
  #process: ServerProcess | undefined;

  constructor(
    name: string,
    command: Command,
    /** Of MQTT. */
    readonly port: number,
    folder: string,
  ) {
    this.#name = name;
    this.#command = command;
    this.#folder = folder;
  }

  /** Throws a RangeError while it is down. */
  get pid(): number {
    if (this.#process === undefined) throw new RangeError(`${this.#name} is down`);
    return this.#process.pid;
  }

  /** Resolves with its first CONNACK. */
  async start(): Promise<void> {
    this.#process = await startServer(this.#name, this.#command, this.port, this.#folder);
  }

  async stop(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await this.#process?.kill(signal);
    this.#process = undefined;
  }
}

export interface RunningFormation {
  /** Where publishers connect. */
  readonly first: Member;
  /** Where subscribers connect. */
  readonly second: Member;
  readonly others: readonly Member[];
  /** Kills all and removes their files. */
  stop(): Promise<void>;
}

interface FormationPlan {
  readonly members: readonly [first: Member, second: Member, ...others: Member[]];
  readonly startOrder: readonly Member[];
}

interface Formation {
  /** undefined: not installed, or it cannot do this. */
  version(): string | undefined;
  /** Writes what they need into `folder`; starts nothing. */
  plan(folder: string): Promise<FormationPlan>;
}

/** Throws an Error if one does not start or no message makes the way. */
export async function startFormation(name: FormationName): Promise<RunningFormation> {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-bench-'));
  const started: Member[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((member) => member.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const { members, startOrder } = await FORMATIONS[name].plan(folder);
    for (const member of startOrder) {
      await member.start();
      started.push(member);
    }
    const [first, second, ...others] = members;
    await awaitWay(first.port, second.port);
    return { first, second, others, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Greets with QoS 1: whatever carries that carries QoS 0. */
async function awaitWay(port: number, subscriberPort: number): Promise<void> {
  const run = new Run();
  const payloadBytes = 16;
  const subscriber = new Subscriber({
    ...{ port: subscriberPort, version: 4, payloadBytes, topic: 'bench/way', qos: 1 },
    ...{ clientId: 'bench-way', fail: run.fail },
  });
  await Promise.race([subscriber.start(), run.failed]);
  await greet({ port, subscriberPort, version: 4, payloadBytes }, 1, [subscriber], run);
  subscriber.close();
}

function subfolder(folder: string, name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

/**
 * Messages that mosquitto has under way where a backlog waits. Without a limit 2.0.11 lost one of a million; there are
 * 65,535 packet ids.
 */
const KEPT_INFLIGHT_MAX_COUNT = 1_000;

/** The first has a bridge to the second, which starts first, so that the bridge finds it at once. */
function mosquittoBridge(isSecondKept: boolean): Formation {
  return {
    version: TARGETS.mosquitto.version,
    async plan(folder) {
      const inflight = isSecondKept ? KEPT_INFLIGHT_MAX_COUNT : 0;
      const member = async (name: string, lines: (port: number) => readonly string[]): Promise<Member> => {
        const port = await freePort();
        const own = subfolder(folder, name);
        const file = join(own, 'mosquitto.conf');
        writeFileSync(file, `${[...mosquittoLines(port, inflight), ...lines(port)].join('\n')}\n`);
        return new Member(`mosquitto ${name}`, { file: 'mosquitto', args: ['-c', file] }, port, own);
      };
      const second = await member('second', () =>
        isSecondKept
          ? ['persistence true', `persistence_location ${join(folder, 'second')}/`]
          : ['persistence false'],
      );
      const first = await member('first', () => [
        'persistence false',
        'connection second',
        `address 127.0.0.1:${second.port}`,
        'topic bench/# both 1',
        'cleansession false',
        'try_private true',
        'bridge_protocol_version mqttv311',
        'notifications false',
        'restart_timeout 1',
      ]);
      return { members: [first, second], startOrder: [second, first] };
    },
  };
}

/** A hub and a leaf, each with a JetStream of its own: see docs/benchmarks.md. The leaf is the first. */
const natsLeaf: Formation = {
  version: TARGETS.nats.version,
  async plan(folder) {
    const leafPort = await freePort();
    const member = async (name: string, leafnodes: string): Promise<Member> => {
      const port = await freePort();
      const own = subfolder(folder, name);
      const file = join(own, 'nats.conf');
      const config = [
        'listen: "127.0.0.1:-1"',
        `server_name: ${name}`,
        `jetstream { store_dir: ${JSON.stringify(join(own, 'jetstream'))}, domain: ${name} }`,
        `leafnodes { ${leafnodes} }`,
        `mqtt { listen: "127.0.0.1:${port}", max_ack_pending: 65535 }`,
      ];
      writeFileSync(file, `${config.join('\n')}\n`);
      return new Member(`nats-server ${name}`, { file: 'nats-server', args: ['-c', file] }, port, own);
    };
    const hub = await member('hub', `listen: "127.0.0.1:${leafPort}"`);
    const leaf = await member('leaf', `remotes: [{ url: "nats://127.0.0.1:${leafPort}" }]`);
    return { members: [leaf, hub], startOrder: [hub, leaf] };
  },
};

const SWARM_KEY = /\bsprawl1\w+/;
const execute = promisify(execFile);

/**
 * Gateways of one swarm on loopback, each with its disk as it is by default; each is told of those before it.
 * @param more than two
 */
async function startMeshPair(folder: string, more: number): Promise<FormationPlan> {
  const keyFile = join(folder, 'swarm.key');
  const tcpPorts: number[] = [];
  const gateway = async (name: string, command: readonly string[]): Promise<Member> => {
    const [port, tcpPort] = [await freePort(), await freePort()];
    const args = [
      ...[LAUNCHER, ...command, '--data-dir', join(folder, name), '--site', name],
      ...['--mqtt-port', String(port), '--ws-port', '0', '--http-port', '0'],
      ...['--log-level', 'warn', '--allow-anonymous'],
      ...['--bootstrap', 'none', '--set', 'mesh.lan=false'],
      ...['--set', `mesh.tcpPort=${tcpPort}`, '--set', 'mesh.udpPort=0'],
      ...tcpPorts.flatMap((peerPort) => ['--peer', `127.0.0.1:${peerPort}`]),
    ];
    tcpPorts.push(tcpPort);
    return new Member(`gateway ${name}`, { file: process.execPath, args }, port, folder);
  };

  const { stdout } = await execute(process.execPath, [LAUNCHER, 'init', '--data-dir', join(folder, 'first')]);
  const key = SWARM_KEY.exec(stdout)?.[0];
  if (key === undefined) throw new Error('init printed no swarm key');
  writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
  // To join again, after a kill, does no harm.
  const joined = (name: string): Promise<Member> => gateway(name, ['join', '--key-file', keyFile]);
  const first = await gateway('first', ['up']);
  const second = await joined('second');
  const others: Member[] = [];
  for (let n = 0; n < more; n++) others.push(await joined(`other-${n}`));
  return { members: [first, second, ...others], startOrder: [first, second, ...others] };
}

/** Asked once: it starts a process. */
let oursCanMesh: boolean | undefined;

function oursMesh(more: number): Formation {
  return {
    version: () => {
      oursCanMesh ??= /^ +join\b/m.test(
        spawnSync(process.execPath, [LAUNCHER, '--help'], { encoding: 'utf8' }).stdout,
      );
      return oursCanMesh ? TARGETS['ours-disk'].version() : undefined;
    },
    plan: (folder) => startMeshPair(folder, more),
  };
}

export const FORMATIONS: Readonly<Record<FormationName, Formation>> = {
  'ours-mesh': oursMesh(0),
  'ours-mesh-three': oursMesh(1),
  'mosquitto-bridge': mosquittoBridge(false),
  /** What the second has is still there after an orderly end. */
  'mosquitto-bridge-kept': mosquittoBridge(true),
  'nats-leaf': natsLeaf,
};
