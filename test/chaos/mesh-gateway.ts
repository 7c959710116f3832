/** One gateway of a mesh as a process: its place, its data folder, its lives, and what it says of itself over HTTP. */
import { performance } from 'node:perf_hooks';
import { setTimeout as elapse } from 'node:timers/promises';
import type { MeshStatus } from '../../lib/contracts/mesh-status.js';
import { GatewayProcess } from './gateway-process.js';
import type { Place } from './mesh-network.js';

export interface MeshPorts {
  readonly mqtt: number;
  readonly http: number;
  readonly mesh: number;
}

export interface MeshGatewayOptions {
  readonly place: Place;
  readonly dataDir: string;
  readonly ports: MeshPorts;
  readonly hasSmallFiles?: boolean | undefined;
  readonly set?: Readonly<Record<string, number | string>>;
  /** Options of Node.js. */
  readonly execArgv?: readonly string[] | undefined;
}

const ASK_MAX_MS = 3000;
/** Percentiles of the event loop are of the last ten seconds: in the first ones they tell of the start. */
const YOUNG_MS = 12_000;
const LAG = /^nodejs_eventloop_lag_p99_seconds (\S+)$/m;

export class MeshGateway {
  readonly options: MeshGatewayOptions;
  /** Of all its processes, the oldest first. */
  readonly lives: GatewayProcess[] = [];
  #restedAtMs = 0;
  #isPaused = false;
  #id: string | undefined;

  constructor(options: MeshGatewayOptions) {
    this.options = options;
  }

  get name(): string {
    return this.options.place.name;
  }

  get host(): string {
    return this.options.place.host;
  }

  /** For clients. */
  get endpoint(): { host: string; port: number; node: string } {
    return { host: this.host, port: this.options.ports.mqtt, node: this.name };
  }

  get meshAddress(): string {
    return `${this.host}:${this.options.ports.mesh}`;
  }

  get process(): GatewayProcess | undefined {
    return this.lives.at(-1);
  }

  get isRunning(): boolean {
    return this.process?.isRunning === true;
  }

  /** Its id, once it has answered. */
  get id(): string {
    return this.#id ?? '';
  }

  /** @param command default: `up` */
  async start(command: readonly string[] = ['up']): Promise<void> {
    const { place, dataDir, ports, hasSmallFiles, set = {}, execArgv = [] } = this.options;
    const process = new GatewayProcess({
      ...{ dataDir, port: ports.mqtt, httpPort: ports.http, within: place.within, hasSmallFiles, execArgv },
      command: [...command, '--site', place.name, '--listen', place.listen, '--allow-anonymous'],
      set: {
        ...{ 'mesh.host': place.listen, 'mesh.tcpPort': ports.mesh, 'mesh.udpPort': ports.mesh },
        ...{ 'mesh.bootstrap': 'none', 'mesh.lan': 'false', 'http.host': place.listen },
        ...set,
      },
    });
    this.lives.push(process);
    this.#isPaused = false;
    this.disturbed();
    if (!(await process.whenReady())) throw new Error(`${this.name} ended at once: ${process.text}`);
    this.#id ??= (await this.status())?.self.id;
  }

  async kill(): Promise<void> {
    this.#isPaused = false;
    await this.process?.kill();
  }

  async stop(): Promise<void> {
    if (this.process === undefined) return;
    if (this.#isPaused) this.resume();
    await this.process.stop();
  }

  pause(): void {
    this.#isPaused = true;
    this.process?.child.kill('SIGSTOP');
  }

  resume(): void {
    this.#isPaused = false;
    this.process?.child.kill('SIGCONT');
    this.disturbed();
  }

  /** From now on, for a while, its event loop tells nothing of the machine. */
  disturbed(): void {
    this.#restedAtMs = performance.now() + YOUNG_MS;
  }

  /** Log lines of all lives that contain the text. */
  told(text: string): number {
    return this.lives.reduce(
      (sum, { lines }) => sum + lines.filter(({ message }) => message.includes(text)).length,
      0,
    );
  }

  /** What went wrong with it, and should not have. */
  complaints(expected: readonly RegExp[] = []): string[] {
    return this.lives.flatMap(({ errors, text }) => [
      ...errors
        .filter(({ message }) => !expected.some((one) => one.test(message)))
        .map((line) => `${this.name} logged ${JSON.stringify(line)}`),
      ...(text === '' ? [] : [`${this.name} said ${text}`]),
    ]);
  }

  /** Undefined: it does not answer. */
  async status(): Promise<MeshStatus | undefined> {
    const text = await this.#get('/mesh');
    return text === undefined ? undefined : (JSON.parse(text) as MeshStatus);
  }

  /** Of its event loop, in milliseconds; undefined: nothing can be said now. */
  async lagMs(): Promise<number | undefined> {
    if (!this.isRunning || this.#isPaused || performance.now() < this.#restedAtMs) return undefined;
    const found = LAG.exec((await this.#get('/metrics')) ?? '');
    if (found === null || performance.now() < this.#restedAtMs) return undefined;
    return Number(found[1]) * 1000;
  }

  async #get(path: string): Promise<string | undefined> {
    try {
      const answer = await fetch(`http://${this.host}:${this.options.ports.http}${path}`, {
        signal: AbortSignal.timeout(ASK_MAX_MS),
      });
      return answer.ok ? await answer.text() : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Asks again and again. @returns how long it took; undefined: not in time. */
export async function within(
  maxMs: number,
  holds: () => Promise<boolean> | boolean,
  everyMs = 50,
): Promise<number | undefined> {
  const startedAtMs = performance.now();
  for (;;) {
    // One after the other: each looks at what has become of it.
    // eslint-disable-next-line no-await-in-loop
    if (await holds()) return performance.now() - startedAtMs;
    if (performance.now() - startedAtMs > maxMs) return undefined;
    // eslint-disable-next-line no-await-in-loop
    await elapse(everyMs);
  }
}
