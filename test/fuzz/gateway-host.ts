import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface GatewayState {
  /** After a garbage collection. */
  readonly heapBytes: number;
  /** Outside the heap: what Buffers hold. */
  readonly bufferBytes: number;
  readonly rssBytes: number;
  readonly connections: number;
  readonly sessions: number;
  readonly subscriptions: number;
  readonly budgetUsedBytes: number;
  readonly timers: number;
  readonly pendingWills: number;
  readonly counters: Readonly<Record<string, number>>;
}

export type FromGateway =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'state'; readonly state: GatewayState }
  | { readonly kind: 'fault'; readonly text: string };

function parseMessage(value: unknown): FromGateway {
  if (typeof value === 'object' && value !== null && 'kind' in value) return value as FromGateway;
  throw new TypeError('the gateway told something unknown');
}

/** The gateway in its own process, which must outlive everything that is sent to it. */
export class GatewayHost {
  readonly port: number;
  readonly #child: ChildProcess;
  #stopping = false;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(onFault: (text: string) => void): Promise<GatewayHost> {
    const child = fork(fileURLToPath(new URL('gateway-process.js', import.meta.url)), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: ['--expose-gc'],
    });
    const [first] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error('the gateway did not start');
      }),
    ]);
    const ready = parseMessage(first);
    if (ready.kind !== 'ready') throw new Error('the gateway is not ready');
    const host = new GatewayHost(child, ready.port);
    child.on('message', (value) => {
      const message = parseMessage(value);
      if (message.kind === 'fault') onFault(`the gateway: ${message.text}`);
    });
    child.on('exit', (code, signal) => {
      if (!host.#stopping) onFault(`the gateway ended with ${code ?? signal}`);
    });
    return host;
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** @throws where it does not answer: it ended, or its event loop stands still. */
  async state(timeoutMs = 10_000): Promise<GatewayState> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (this.#child.send('state'); ;) {
      const [value] = await once(this.#child, 'message', { signal });
      const message = parseMessage(value);
      if (message.kind === 'state') return message.state;
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (!this.alive) return;
    const ended = once(this.#child, 'exit');
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    this.#child.send('stop');
    await ended;
    clearTimeout(limit);
  }
}
