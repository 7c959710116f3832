/** Goes through what strace saw of a gateway, and at every acknowledgement asks what a loss of power would leave of its promise. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../sim/random.js';
import { PacketWatch, PROMISES, type PacketPromise, type PromiseKind } from './promises.js';
import { type Restored, withRestored } from '../restored.js';
import { descriptorOf, readTrace, stringsOf, type SystemCall } from './trace.js';
import { TracedDisk } from './traced-disk.js';

const FAILURES_MAX_COUNT = 20;
/** One image in so many is also tried with a part of what was not synced. */
const MIXED_EVERY = 4;

export interface LossOfPowerOptions {
  /** What is traced; it was empty before the first process. */
  readonly root: string;
  /** Data folder, in `root`. */
  readonly dataDir: string;
  readonly random: Random;
  /** Where images are put: a file system in memory is fast. */
  readonly imageFolder: string;
  /** A durable session that subscribed to `t/#` before the first message and never came back. */
  readonly archive: string;
  /** Is given the data folder of an image now and then. */
  readonly sample?: {
    readonly every: number;
    readonly look: (dataDir: string) => Promise<string | undefined>;
  };
}

export class LossOfPower {
  readonly promised = new Map<PromiseKind, number>(PROMISES.map((kind) => [kind, 0]));
  readonly failures: string[] = [];
  failureCount = 0;
  images = 0;
  mixedImages = 0;
  samples = 0;
  readonly brokenKinds = new Set<PromiseKind>();
  readonly #options: LossOfPowerOptions;
  readonly #disk: TracedDisk;
  readonly #watch = new PacketWatch();
  /** Of packets that left since the last sync ended. */
  #pending: PacketPromise[] = [];

  constructor(options: LossOfPowerOptions) {
    this.#options = options;
    this.#disk = new TracedDisk(options.root);
  }

  /** One process of the gateway; the next one follows on the same machine. */
  async follow(tracePath: string): Promise<void> {
    await readTrace(tracePath, {
      began: (call) => this.#began(call),
      ended: (call) => this.#ended(call),
    });
    await this.#judge();
    this.#disk.nextProcess();
    this.#watch.allClosed();
  }

  #began(call: SystemCall): void {
    this.#disk.began(call);
    const descriptor = descriptorOf(call);
    if (call.name === 'close') this.#watch.closed(descriptor);
    if ((call.name !== 'write' && call.name !== 'writev') || !this.#watch.has(descriptor)) return;
    for (const promise of this.#watch.leaving(descriptor, Buffer.concat(stringsOf(call)))) {
      this.#pending.push(promise);
      this.promised.set(promise.kind, (this.promised.get(promise.kind) ?? 0) + 1);
    }
  }

  async #ended(call: SystemCall): Promise<void> {
    const { name, result = -1 } = call;
    // Until now the disk was as it was when they left.
    if (name === 'fdatasync' || name === 'fsync') await this.#judge();
    this.#disk.ended(call);
    if (name === 'accept4' && result >= 0) this.#watch.opened(result);
    if (name === 'read' && result > 0)
      this.#watch.received(descriptorOf(call), stringsOf(call)[0] ?? Buffer.alloc(0));
  }

  async #judge(): Promise<void> {
    const promises = this.#pending;
    if (promises.length === 0) return;
    this.#pending = [];
    this.images++;
    await this.#judgeImage(promises, undefined);
    if (this.images % MIXED_EVERY !== 0) return;
    this.mixedImages++;
    // What was written since they left is in this one.
    const standing = promises.filter((promise) => !promise.isOver());
    await this.#judgeImage(standing, this.#options.random);
  }

  async #judgeImage(promises: readonly PacketPromise[], random: Random | undefined): Promise<void> {
    const { imageFolder, root, dataDir, sample } = this.#options;
    mkdirSync(imageFolder, { recursive: true });
    const folder = mkdtempSync(join(imageFolder, 'image-'));
    try {
      this.#disk.putImage(folder, random);
      const copy = join(folder, dataDir.slice(root.length));
      await withRestored(copy, (restored) => this.#ask(promises, restored));
      if (sample === undefined || this.images % sample.every !== 0) return;
      this.samples++;
      const fault = await sample.look(copy);
      if (fault !== undefined) this.#fail(fault);
    } catch (error) {
      this.#fail(`image ${this.images} cannot be opened: ${String(error)}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #ask(promises: readonly PacketPromise[], restored: Restored): void {
    for (const { kind, clientId, broken } of promises) {
      const fault = broken(restored);
      if (fault === undefined) continue;
      this.brokenKinds.add(kind);
      this.#fail(`image ${this.images}, ${kind} to ${clientId}: ${fault}`);
    }
    for (const loss of restored.losses) this.#fail(`image ${this.images} reports ${JSON.stringify(loss)}`);
    const { archive } = this.#options;
    let owed = 0;
    for (const [topic, payloads] of this.#watch.acknowledged)
      if (topic.startsWith('t/')) owed += payloads.size;
    const queued = restored.queuedCount(archive);
    if (queued < owed)
      this.#fail(`image ${this.images}: ${queued} messages wait for ${archive}, ${owed} were acknowledged`);
  }

  #fail(text: string): void {
    this.failureCount++;
    if (this.failures.length < FAILURES_MAX_COUNT) this.failures.push(text);
  }
}
