/** The thread that has the store open for other gateways: begun with the first request, and anew where it has died. */
import { Worker } from 'node:worker_threads';
import type { Timers } from '../../../lib/contracts/clock.js';
import type { Logger } from '../../../lib/contracts/logger.js';
import type { TargetSettings } from '../target.js';
import type { AskStore } from './object-request.js';
import { StoreAsker, type StoreCall } from './store-calls.js';
import type { StoreThreadSettings, ToStoreThread } from './store-thread-protocol.js';

export interface StoreThreadPorts {
  readonly timers: Timers;
  readonly logger: Logger;
}

const WORKER = new URL('./store-thread-worker.js', import.meta.url);
/** The SDK of AWS takes some thirty megabytes. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 };
const STOP_MAX_MS = 2000;

interface Running {
  readonly worker: Worker;
  readonly asker: StoreAsker;
  readonly ended: Promise<void>;
}

export class StoreThread {
  readonly #target: TargetSettings;
  readonly #ports: StoreThreadPorts;
  #running: Running | undefined;
  #isStopped = false;

  constructor(target: TargetSettings, ports: StoreThreadPorts) {
    this.#target = target;
    this.#ports = ports;
  }

  readonly ask: AskStore = (request, read) => {
    if (this.#isStopped) return Promise.resolve({ kind: 'fault', fault: 'unreachable', text: 'it stops' });
    this.#running ??= this.#start();
    return this.#running.asker.ask(request, read);
  };

  /** Resolves when it has ended. What is under way is not waited for: whoever asked asks again. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const running = this.#running;
    if (running === undefined) return;
    running.asker.end('the gateway that archives for this one stops');
    running.worker.postMessage({ call: 'stop' } satisfies ToStoreThread);
    const patience = this.#ports.timers.after(STOP_MAX_MS, () => void running.worker.terminate());
    await running.ended;
    patience.cancel();
  }

  #start(): Running {
    const workerData: StoreThreadSettings = { target: this.#target };
    const worker = new Worker(WORKER, { workerData, execArgv: [], resourceLimits: RESOURCE_LIMITS });
    const asker = new StoreAsker((call) =>
      // Pieces are made for it, and nobody else has them.
      worker.postMessage(call, call.call === 'part' ? [call.bytes.buffer as ArrayBuffer] : []),
    );
    let failure: unknown;
    worker.on('message', (call: StoreCall) => asker.told(call));
    worker.on('error', (error) => (failure = error));
    const ended = new Promise<void>((resolve) => worker.on('exit', () => resolve())).then(() => {
      asker.end('the thread that has the archive open has died');
      this.#running = undefined;
      if (this.#isStopped) return;
      const reason = failure instanceof Error ? failure.message : String(failure);
      this.#ports.logger.error('the thread that archives for other gateways has died', { reason });
    });
    return { worker, asker, ended };
  }
}
