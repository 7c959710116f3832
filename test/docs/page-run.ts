/** Runs what a page shows, on machines of its own: folders with ports that nothing else uses. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cleanEnvironment } from '../support/clean-process.js';
import type { Run } from './marker.js';
import { ROOT } from './page.js';
import { simpleCommands, sprawlCalls, statements } from './shell-text.js';
import { freePort } from '../support/free-port.js';

const DEFAULT_PORTS = { mqtt: 1883, ws: 8083, http: 8880, mesh: 4430 } as const;
type Ports = Readonly<Record<keyof typeof DEFAULT_PORTS, number>>;
const PASSWORD = 'a password of the pages\n';
/** Between two tries of what is to work in the end. */
const RETRY_MS = 200;
const RETRIES_MAX = 75;
const ENDS_BY_ITSELF = new Set(['-C', '-W', '-E']);

/** Default ports are left out by the pages: the clients and questions of a machine get its own. */
const SPRAWL_EDGE = `#!/bin/bash
case "$1" in
  pub|sub) [[ " $* " =~ \\ (-p|-L|--port|--url)\\  ]] || set -- "$@" -p "$PAGE_MQTT_PORT" ;;
  status|peers|links) [[ " $* " =~ \\ (-u|--url)\\  ]] || set -- "$@" -u "http://127.0.0.1:$PAGE_HTTP_PORT" ;;
esac
exec env -u NODE_OPTIONS -u NODE_V8_COVERAGE '${process.execPath}' '${join(ROOT, 'bin', 'sprawl-edge.cjs')}' "$@"
`;
/** In a checkout it installs the checkout first, elsewhere whatever a registry has under that name. */
const NPX = `#!/bin/bash
echo "pages run nothing with npx: say sprawl-edge, not npx $1" >&2; exit 64
`;
/** The repository under test is installed and built. */
const NPM = `#!/bin/bash
case "$1" in
  ci) exit 0 ;;
  start) exec sprawl-edge up ;;
esac
echo "pages do not run npm $1" >&2; exit 64
`;

interface Service {
  readonly line: string;
  readonly child: ChildProcess;
  readonly isGateway: boolean;
  out: string;
  err: string;
  readonly ended: Promise<unknown>;
}

interface Machine {
  readonly folder: string;
  readonly ports: Ports;
  readonly env: NodeJS.ProcessEnv;
  readonly services: Service[];
}

/** What went wrong, with what was printed. */
export class PageFault extends Error {}

export class PageRun {
  readonly #folder: string;
  readonly #bin: string;
  readonly #machines = new Map<string, Machine>();
  #adminKey = '';

  constructor(folder: string) {
    this.#folder = folder;
    this.#bin = join(folder, 'bin');
    mkdirSync(this.#bin);
    for (const [name, text] of Object.entries({ 'sprawl-edge': SPRAWL_EDGE, npx: NPX, npm: NPM })) {
      writeFileSync(join(this.#bin, name), text);
      chmodSync(join(this.#bin, name), 0o755);
    }
  }

  async write(machine: string, name: string, text: string): Promise<void> {
    writeFileSync(join((await this.#machine(machine)).folder, name), `${text}\n`);
  }

  /** Runs a block. @param output what its last commands print at least. @throws PageFault where that is not so, or it ends otherwise than it should */
  async run(text: string, run: Run, output = ''): Promise<void> {
    const machine = await this.#machine(run.machine);
    const isServed = machine.services.some(({ isGateway }) => isGateway);
    if (run.needsGateway && !isServed) await this.#start(machine, 'sprawl-edge up');
    const parts = partsOf(withPorts(text, machine.ports), run.exitCode !== 0);
    let started = '';
    for (const [index, part] of parts.entries()) {
      if (part.isService) {
        started += await this.#start(machine, part.text);
        continue;
      }
      const isLast = index === parts.length - 1;
      const expected = isLast ? withPorts(output, machine.ports) : '';
      await this.#runRepeatedly(run.isRepeated ? RETRIES_MAX : 1, async () => {
        const printed = started + (await this.#runToEnd(machine, part.text, isLast ? run.exitCode : 0));
        const missing = missingLine(printed, expected);
        if (missing !== undefined)
          throw new PageFault(`it does not print ${JSON.stringify(missing)}, but:\n${printed}`);
      });
    }
  }

  /** Waits for another process, which cannot be awaited: what a page says happens "then". */
  async #runRepeatedly(triesMax: number, once: () => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await once();
      } catch (error) {
        if (tries >= triesMax || !(error instanceof PageFault)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Ends everything, gateways last. @throws PageFault where a subscriber got nothing, or a gateway did not stop as it should */
  async end(): Promise<void> {
    const services = [...this.#machines.values()].flatMap((machine) => machine.services);
    for (const service of services.filter(({ isGateway }) => !isGateway)) {
      while (service.out === '') await heard(service, `${service.line} printed nothing`);
      await stop(service, 'SIGINT');
    }
    for (const service of services.filter(({ isGateway }) => isGateway)) await stopGateway(service);
  }

  /** For the end of a test, however it ends. */
  kill(): void {
    for (const { services } of this.#machines.values())
      for (const { child } of services) signal(child, 'SIGKILL');
  }

  async #machine(name: string): Promise<Machine> {
    const known = this.#machines.get(name);
    if (known !== undefined) return known;
    const folder = join(this.#folder, name);
    mkdirSync(folder);
    const [mqtt, ws, http, mesh] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const ports = { mqtt, ws, http, mesh };
    const peers = [...this.#machines.values()].map((other) => `127.0.0.1:${other.ports.mesh}`);
    const env = {
      ...cleanEnvironment(),
      PATH: `${this.#bin}${delimiter}${process.env['PATH'] ?? ''}`,
      HOME: folder,
      PAGE_MQTT_PORT: `${mqtt}`,
      PAGE_HTTP_PORT: `${http}`,
      SPRAWL_LISTENERS__MQTT_PORT: `${mqtt}`,
      SPRAWL_LISTENERS__WS_PORT: `${ws}`,
      SPRAWL_HTTP__PORT: `${http}`,
      SPRAWL_MESH__TCP_PORT: `${mesh}`,
      SPRAWL_MESH__UDP_PORT: 'false',
      SPRAWL_MESH__LAN: 'false',
      SPRAWL_MESH__BOOTSTRAP: 'none',
      ...(peers.length === 0 ? {} : { SPRAWL_MESH__PEERS: peers.join(',') }),
    };
    const machine = { folder, ports, env, services: [] };
    this.#machines.set(name, machine);
    return machine;
  }

  /** What the commands of a statement ask for. */
  #answers(text: string): string {
    const [command, ...args] = sprawlCalls(text)[0] ?? [];
    if (command === 'passwd') return PASSWORD;
    if (command === 'evict' || command === 'invite') return `${this.#adminKey}\n`;
    if (command !== 'join' || !args.includes('-')) return '';
    const [first] = this.#machines.values();
    return first === undefined
      ? ''
      : readFileSync(join(first.folder, 'sprawl-edge-data/mesh/swarm.key'), 'utf8');
  }

  async #start(machine: Machine, text: string): Promise<string> {
    const isGateway = !/\bsub\b/.test(sprawlCalls(text)[0]?.[0] ?? 'up');
    const running = machine.services.findIndex((service) => service.isGateway);
    if (isGateway && running >= 0)
      for (const old of machine.services.splice(running, 1)) await stopGateway(old);
    // With -d it says when it has subscribed.
    const line = isGateway ? text : text.replace(/\bsub\b/, 'sub -d');
    const child = spawn('bash', ['-c', line], { cwd: machine.folder, env: machine.env, detached: true });
    const service: Service = { line: text, child, isGateway, out: '', err: '', ended: once(child, 'close') };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (service.out += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (service.err += chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(this.#answers(text));
    machine.services.push(service);
    const sign = isGateway ? / ready startMs=/ : /SUBACK/;
    while (!sign.test(service.err)) await heard(service, `${text} does not start`);
    return service.out + service.err;
  }

  async #runToEnd(machine: Machine, text: string, exitCode: number): Promise<string> {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', text], { cwd: machine.folder, env: machine.env });
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(this.#answers(text));
    const [code] = (await once(child, 'close')) as [number | null];
    this.#adminKey = /\bsprawladmin1\w+/.exec(printed)?.[0] ?? this.#adminKey;
    if (code === exitCode) return printed;
    throw new PageFault(`it ends with ${String(code)} in place of ${exitCode}:\n${text}\n${printed}`);
  }
}

interface Part {
  readonly text: string;
  readonly isService: boolean;
}

/** The statements of a block; those that share a shell in one. */
function partsOf(text: string, isToFail: boolean): Part[] {
  const parts: Part[] = [];
  for (const statement of statements(text)) {
    const isService = !isToFail && runsOn(statement);
    const asks = /^(?:passwd|join|evict|invite)$/.test(sprawlCalls(statement)[0]?.[0] ?? '');
    const last = parts.at(-1);
    if (isService || asks || last === undefined || last.isService) parts.push({ text: statement, isService });
    else parts[parts.length - 1] = { text: `${last.text}\n${statement}`, isService };
  }
  return parts;
}

/** Whether it runs until it is stopped. */
function runsOn(statement: string): boolean {
  const commands = simpleCommands(statement);
  if (commands.length !== 1) return false;
  if (commands[0]?.words.join(' ') === 'npm start') return true;
  const [command = '', ...args] = sprawlCalls(statement)[0] ?? [];
  if (args.includes('--help')) return false;
  return /^(?:up|join)$/.test(command) || (command === 'sub' && !args.some((arg) => ENDS_BY_ITSELF.has(arg)));
}

function withPorts(text: string, ports: Ports): string {
  return Object.entries(DEFAULT_PORTS).reduce(
    (changed, [name, port]) =>
      changed.replaceAll(new RegExp(`\\b${port}\\b`, 'g'), `${ports[name as keyof Ports]}`),
    text,
  );
}

/** The first line of `expected` that is not in `printed` behind those before it; `…` is any text. */
export function missingLine(printed: string, expected: string): string | undefined {
  const lines = printed.split('\n');
  let at = 0;
  for (const line of expected.split('\n')) {
    if (line.trim() === '' || line.trim() === '…') continue;
    const words = line.trim().split(/\s+/).join(' ');
    const pattern = words.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const regex = new RegExp(`^${pattern.join('.*')}$`);
    const found = lines.findIndex(
      (one, index) => index >= at && regex.test(one.trim().split(/\s+/).join(' ')),
    );
    if (found < 0) return line;
    at = found + 1;
  }
  return undefined;
}

/** Resolves when it says something more. @throws PageFault where it ends instead */
async function heard({ child, ended, out, err }: Service, fault: string): Promise<void> {
  const streams = [child.stdout, child.stderr];
  let listener = (): void => undefined;
  const isEnded = await new Promise<boolean>((resolve) => {
    listener = () => resolve(false);
    for (const stream of streams) stream?.once('data', listener);
    void ended.then(() => resolve(true));
  });
  for (const stream of streams) stream?.removeListener('data', listener);
  if (isEnded) throw new PageFault(`${fault}:\n${out}${err}`);
}

async function stopGateway(service: Service): Promise<void> {
  await stop(service, 'SIGTERM');
  if (!/ stopped$/m.test(service.err))
    throw new PageFault(`${service.line} did not stop by itself:\n${service.err}`);
}

async function stop({ child, ended }: Service, name: NodeJS.Signals): Promise<void> {
  signal(child, name);
  await ended;
}

/** To it and what it started. */
function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, name);
  } catch {
    // It is gone.
  }
}
