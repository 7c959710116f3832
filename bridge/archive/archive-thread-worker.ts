/** What the thread of archive-thread.ts runs. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { peerOfTarget } from '../../lib/contracts/archive-target.js';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { keepConfig } from './archive-config.js';
import { ArchiveRunner } from './archive-runner.js';
import { Archiver, type BuiltObject, type Cut, OTHER_PLACE } from './archiver.js';
import { builderOptionsOf, CutBuilder, type RowBatch } from './cut-builder.js';
import { SealedSpool } from './encryption/sealed-spool.js';
import { Manifest } from './manifest.js';
import { Pace, paced } from './paced-body.js';
import { type LogRead, unpackRows } from './row-columns.js';
import { FolderSpool } from './spool.js';
import { RelayedObjectStore } from './relay/relayed-object-store.js';
import { StoreAsker } from './relay/store-calls.js';
import { type OpenTarget, openTarget, type TargetSettings } from './target.js';
import { stepBack } from './thread-priority.js';
import { Turns } from './turns.js';
import type { AddedFiles, FromThread, ThreadSettings, ToThread } from './thread-protocol.js';

/* oxlint-disable eslint/no-restricted-globals, eslint/no-restricted-properties -- a thread has no gateway to be given them by */
const clock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};
const random = Math.random;
const timers: Timers = {
  after: (delayMs, fire) => {
    const timeout = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
};
/* oxlint-enable eslint/no-restricted-globals, eslint/no-restricted-properties */

const neverWoken = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
/** Of this thread; what is told to it meanwhile waits. */
const sleep = (ms: number): void => void Atomics.wait(neverWoken, 0, 0, ms);

interface Question {
  resolve(answer: Cut | LogRead | undefined): void;
  reject(error: Error): void;
}

class ArchiveThreadWorker {
  readonly #port: MessagePort;
  readonly #settings: ThreadSettings;
  readonly #turns = new Turns({ now: clock.now, sleep });
  readonly #questions = new Map<number, Question>();
  readonly #spool: FolderSpool;
  #key: MasterKey | undefined;
  /** Of the last object that the archive has. */
  #keyIdBefore: string | undefined;
  readonly #runner: ArchiveRunner;
  /** Of a store that another gateway has. */
  readonly #store = new StoreAsker((call) => this.#tell({ kind: 'store', call }));
  #target: OpenTarget | undefined;
  #archiver: Archiver | undefined;
  #lastId = 0;

  constructor(port: MessagePort, settings: ThreadSettings) {
    this.#port = port;
    this.#settings = settings;
    this.#spool = new FolderSpool(settings.spoolFolder);
    [this.#key] = settings.keys;
    this.#runner = new ArchiveRunner({
      ...{ clock, timers, random, logger: this.#logger(), nextAt: () => undefined },
      step: () => this.#step(),
      changed: (status) => this.#tell({ kind: 'status', status }),
    });
    port.on('message', (message: ToThread) => this.#told(message));
  }

  start(): void {
    this.#runner.start();
  }

  #told(message: ToThread): void {
    switch (message.kind) {
      case 'wake':
        this.#runner.wake();
        return;
      case 'stop':
        void this.#stop();
        return;
      case 'keys':
        [this.#key] = message.keys;
        return;
      case 'store':
        this.#store.told(message.call);
        return;
      case 'cut':
        this.#answered(message.id)?.resolve(message.cut);
        return;
      case 'rows':
        this.#turns.areShort = message.inTurns;
        this.#answered(message.id)?.resolve(message.read);
        return;
      default:
        this.#answered(message.id)?.reject(new Error(message.reason));
    }
  }

  #answered(id: number): Question | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    return question;
  }

  async #stop(): Promise<void> {
    // Nobody answers any more.
    for (const { reject } of this.#questions.values()) reject(new Error('the gateway stops'));
    this.#questions.clear();
    this.#store.end('the gateway stops');
    await this.#runner.stop();
    this.#target?.close();
    this.#port.close();
  }

  async #step(): ReturnType<Archiver['step']> {
    this.#archiver ??= await this.#open();
    return this.#archiver.step();
  }

  async #open(): Promise<Archiver> {
    const { self, origin, known, target, config, maxBytesPerSecond } = this.#settings;
    this.#target ??= await this.#openTarget(target);
    const { objects: store } = this.#target;
    const objects =
      maxBytesPerSecond === 0 ? store : paced(store, new Pace(() => maxBytesPerSecond, clock, timers));
    if (!(await objects.createsOnce()))
      this.#say(
        'warn',
        'the archive cannot tell whether it has an object: one gateway alone may write for an origin',
        {
          archive: objects.name,
        },
      );
    if (known !== undefined)
      await new Manifest(store, origin).expect(known, self === origin ? OTHER_PLACE : undefined);
    await keepConfig(store, origin, config);
    const spool = new SealedSpool(this.#spool, () => this.#key);
    const cuts = new CutBuilder(
      { spool, read: (cut) => this.#read(cut), rest: this.#turns.rest },
      builderOptionsOf(origin, config),
    );
    return new Archiver({
      ...{ self, objects, manifest: new Manifest(store, origin) },
      cutAfter: () => this.#ask<Cut | undefined>((id) => ({ kind: 'cut?', id })),
      build: (cut) => cuts.build(cut),
      entry: ({ objects: [object] }) => {
        if (object !== undefined) this.#keyIdBefore = object.keyId;
      },
      archived: (tip, lives, built) => {
        this.#warnIfPlain();
        this.#tell({ kind: 'archived', tip, lives, added: filesOf(built?.objects ?? []) });
      },
    });
  }

  /** Somebody may have forgotten a key when the gateway was moved. */
  #warnIfPlain(): void {
    if (this.#key === undefined && this.#keyIdBefore !== undefined)
      this.#say(
        'warn',
        'the archive was encrypted, and what comes now is not: archive.encryptionKeyFile is not set',
        { keyId: this.#keyIdBefore },
      );
    this.#keyIdBefore = undefined;
  }

  async #openTarget(settings: TargetSettings): Promise<OpenTarget> {
    const { target } = settings;
    if (peerOfTarget(target) === undefined) return openTarget(settings);
    return { objects: new RelayedObjectStore(target, this.#store.ask), close: () => undefined };
  }

  /** The next part is on its way while one is written. */
  async *#read(cut: Cut): AsyncGenerator<RowBatch> {
    const ask = (after: LogPosition): Promise<LogRead> =>
      this.#ask<LogRead>((id) => ({ kind: 'rows?', id, cut, after }));
    let asked = ask(cut.after);
    for (;;) {
      const { rows, lost, next } = await asked;
      const isLast = next > cut.upTo;
      if (!isLast) {
        asked = ask(next - 1);
        // It is waited for in the next turn, or not at all.
        asked.catch(() => undefined);
      }
      yield { rows: unpackRows(rows), lost };
      if (isLast) return;
    }
  }

  #ask<T extends Cut | LogRead | undefined>(question: (id: number) => FromThread): Promise<T> {
    const id = ++this.#lastId;
    return new Promise<T>((resolve, reject) => {
      this.#questions.set(id, { resolve: resolve as Question['resolve'], reject });
      this.#tell(question(id));
    });
  }

  #tell(message: FromThread): void {
    this.#port.postMessage(message);
  }

  #say(level: 'info' | 'warn' | 'error', message: string, fields = {}): void {
    this.#tell({ kind: 'log', level, message, fields });
  }

  #logger(): Logger {
    const silent = (): void => undefined;
    const logger: Logger = {
      ...{ trace: silent, debug: silent },
      info: (message, fields) => this.#say('info', message, fields),
      warn: (message, fields) => this.#say('warn', message, fields),
      error: (message, fields) => this.#say('error', message, fields),
      child: () => logger,
    };
    return logger;
  }
}

function filesOf(objects: readonly BuiltObject[]): AddedFiles {
  let rows = 0;
  let bytes = 0;
  for (const object of objects) {
    rows += object.rows;
    bytes += object.length;
  }
  return { rows, bytes, objects: objects.length };
}

stepBack();
new ArchiveThreadWorker(parentPort as MessagePort, workerData as ThreadSettings).start();
