/** The thread of an archive, from its start to its end; one that dies is followed by another. */
import { Worker } from 'node:worker_threads';
import type { Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { RunnerStatus } from './archive-runner.js';
import type { Cut } from './archiver.js';
import type { ManifestTip } from './manifest-entry.js';
import type { AskStore } from './relay/object-request.js';
import { StoreAnswerer } from './relay/store-calls.js';
import { type LogRead, transferOf } from './row-columns.js';
import type { ArchivedLives } from './stretch.js';
import type { AddedFiles, FromThread, ThreadSettings, ToThread } from './thread-protocol.js';

export interface ThreadPorts {
  readonly timers: Timers;
  readonly logger: Logger;
  /** See ArchiverPorts.cutAfter. */
  cut(): Promise<Cut | undefined>;
  rows(cut: Cut, after: LogPosition): Promise<LogRead>;
  /** See ArchivePorts. */
  inTurns(): boolean;
  archived(tip: ManifestTip, lives: ArchivedLives, added: AddedFiles): void;
  status(status: RunnerStatus): void;
  /** The store of another gateway; undefined: the target is a place of its own. */
  readonly askStore?: AskStore | undefined;
}

const WORKER = new URL('./archive-thread-worker.js', import.meta.url);
/**
 * A file is made of parts that are small; the SDK of AWS takes some thirty megabytes. The young generation has room for a group of rows: with half of it
 * each was collected with the old one, twice a second and for ten milliseconds in which clients wait.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 32 };
const AGAIN_AFTER_MS = 5000;
const STOP_MAX_MS = 2000;

export class ArchiveThread {
  #settings: ThreadSettings;
  readonly #ports: ThreadPorts;
  #worker: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(settings: ThreadSettings, ports: ThreadPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#start();
  }

  wake(): void {
    this.#tell({ kind: 'wake' });
  }

  /** For objects that are begun from now on. */
  setKeys(keys: readonly MasterKey[]): void {
    this.#settings = { ...this.#settings, keys };
    this.#tell({ kind: 'keys', keys });
  }

  /** Resolves when it has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#tell({ kind: 'stop' });
    // A request that hangs is not waited for: it is made again after the next start.
    const patience = this.#ports.timers.after(STOP_MAX_MS, () => void this.#worker?.terminate());
    await this.#ended;
    patience.cancel();
  }

  #start(): void {
    const worker = new Worker(WORKER, {
      workerData: this.#settings,
      execArgv: [],
      resourceLimits: RESOURCE_LIMITS,
    });
    this.#worker = worker;
    let failure: unknown;
    const { askStore } = this.#ports;
    const store =
      askStore && new StoreAnswerer((call) => worker.postMessage({ kind: 'store', call }), askStore);
    worker.on('message', (message: FromThread) => {
      if (message.kind === 'store') store?.told(message.call);
      else this.#told(worker, message);
    });
    worker.on('error', (error) => (failure = error));
    this.#ended = new Promise((resolve) =>
      worker.on('exit', () => {
        this.#worker = undefined;
        store?.end('the thread of the archive has ended');
        resolve();
        if (!this.#isStopped) this.#died(failure);
      }),
    );
  }

  #died(failure: unknown): void {
    const { logger, timers } = this.#ports;
    logger.error('the thread of the archive has died, and is started again', {
      reason: failure instanceof Error ? failure.message : String(failure),
      afterMs: AGAIN_AFTER_MS,
    });
    timers.after(AGAIN_AFTER_MS, () => {
      if (!this.#isStopped) this.#start();
    });
  }

  /** @param worker whom answers are for: the one that follows it asks anew, with the same numbers */
  #told(worker: Worker, message: Exclude<FromThread, { readonly kind: 'store' }>): void {
    const ports = this.#ports;
    switch (message.kind) {
      case 'cut?':
        answer(worker, message.id, ports.cut(), (id, cut) =>
          worker.postMessage({ kind: 'cut', id, cut } satisfies ToThread),
        );
        return;
      case 'rows?':
        answer(worker, message.id, ports.rows(message.cut, message.after), (id, read) =>
          worker.postMessage(
            { kind: 'rows', id, read, inTurns: ports.inTurns() } satisfies ToThread,
            transferOf(read.rows),
          ),
        );
        return;
      case 'archived':
        ports.archived(message.tip, message.lives, message.added);
        return;
      case 'status':
        ports.status(message.status);
        return;
      default:
        ports.logger[message.level](message.message, message.fields);
    }
  }

  #tell(message: ToThread): void {
    this.#worker?.postMessage(message);
  }
}

function answer<T>(
  worker: Worker,
  id: number,
  found: Promise<T>,
  give: (id: number, value: T) => void,
): void {
  found.then(
    (value) => give(id, value),
    (error: unknown) => worker.postMessage({ kind: 'failed', id, reason: String(error) } satisfies ToThread),
  );
}
