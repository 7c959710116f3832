/**
 * A loss of power at every acknowledgement of a run: the gateway runs under strace, and what strace saw is gone through afterwards.
 *
 * What this does not cover: a disk that loses what it said it had synced; memory-mapped writes, which LevelDB 1.20 does not make.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { MemoryHistory } from '../../history/history-writer.js';
import { RecordingClient } from '../../history/recording-client.js';
import { Random } from '../../sim/random.js';
import { Fleet } from '../fleet.js';
import { GatewayProcess } from '../gateway-process.js';
import type { ProofReport } from '../report.js';
import { LossOfPower } from './loss-of-power.js';
import type { PromiseKind } from './promises.js';
import { TRACE_OPTIONS } from './trace.js';
import { freePort } from '../../support/free-port.js';

export interface PowerOptions {
  /** Processes on one data folder, each of them killed. */
  readonly lives: number;
  /** How long each is under load. */
  readonly lifeMs: number;
  readonly seed: number;
  /** Folder with the `bin` and `dist` that are tried. */
  readonly project?: string;
  /** One image in so many is given to a gateway process; default: none. */
  readonly sampleEvery?: number;
}

const ARCHIVE = 'archive';
const DISTURB_EVERY_MS = 120;

export interface PowerOutcome {
  readonly report: ProofReport;
  readonly brokenKinds: ReadonlySet<PromiseKind>;
}

export async function power(options: PowerOptions): Promise<PowerOutcome> {
  const { lives, seed } = options;
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-power-'));
  const root = join(folder, 'root');
  mkdirSync(root);
  const random = new Random(seed, 'power');
  const images = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sprawl-images-'));
  const loss = new LossOfPower({
    ...{
      root,
      dataDir: join(root, 'data'),
      random: random.fork('images'),
      imageFolder: images,
      archive: ARCHIVE,
    },
    ...(options.sampleEvery !== undefined && { sample: { every: options.sampleEvery, look: startsOn } }),
  });
  try {
    const traces = await record(options, folder, join(root, 'data'), random);
    for (const trace of traces) await loss.follow(trace);
  } finally {
    for (const path of [folder, images]) rmSync(path, { recursive: true, force: true });
  }
  const unseen = [...loss.promised].filter(([, count]) => count === 0).map(([kind]) => kind);
  const failures = [...loss.failures];
  if (loss.failureCount > failures.length) failures.push(`and ${loss.failureCount - failures.length} more`);
  if (unseen.length > 0) failures.push(`nothing was shown of ${unseen.join(', ')}`);
  return {
    report: {
      figures: {
        'processes that lost power': lives,
        'images, of what was synced': loss.images,
        'images, also of some that was not': loss.mixedImages,
        'images that a gateway started on': loss.samples,
        ...Object.fromEntries([...loss.promised].map(([kind, count]) => [`promises: ${kind}`, count])),
        'promises broken': loss.failureCount,
      },
      failures,
    },
    brokenKinds: loss.brokenKinds,
  };
}

/** @returns what strace wrote of each life. */
async function record(
  { lives, lifeMs, project }: PowerOptions,
  folder: string,
  dataDir: string,
  random: Random,
): Promise<string[]> {
  const port = await freePort();
  const history = new MemoryHistory('power');
  const fleet = new Fleet({ history, port, random: random.fork('fleet'), paddingMaxBytes: 100 });
  const others = new StartingAnew(history, port);
  const traces: string[] = [];
  try {
    for (let life = 0; life < lives; life++) {
      const trace = join(folder, `trace-${life}`);
      traces.push(trace);
      const gateway = new GatewayProcess({
        ...{ dataDir, port, strace: ['-o', trace, ...TRACE_OPTIONS] },
        // io_uring would write past strace.
        env: { UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '4' },
        // A small ballast: it is in the trace, too.
        set: { 'limits.diskMaxBytes': 4_194_304, 'limits.diskReserveBytes': 0 },
        ...(project !== undefined && { project }),
      });
      if (!(await gateway.whenReady())) throw new Error(`the gateway did not start: ${gateway.text}`);
      if (life === 0) {
        await others.park(ARCHIVE, 't/#');
        await fleet.start();
      }
      fleet.load();
      const until = performance.now() + lifeMs;
      while (performance.now() < until) {
        await elapse(DISTURB_EVERY_MS);
        fleet.disturb();
        others.next();
      }
      await gateway.kill();
      await untilWritten(trace);
    }
  } finally {
    fleet.leave();
    others.leave();
  }
  return traces;
}

/** strace, which is no child of ours, has written everything once it says how the process ended. */
async function untilWritten(trace: string): Promise<void> {
  for (;;) {
    const file = await open(trace, 'r');
    try {
      const { size } = await file.stat();
      const tail = Buffer.alloc(200);
      const { bytesRead } = await file.read(tail, 0, tail.length, Math.max(0, size - tail.length));
      if (tail.subarray(0, bytesRead).includes('+++ killed by SIGKILL +++')) return;
    } finally {
      await file.close();
    }
    await elapse(20);
  }
}

/**
 * Clients that begin anew: with a session that stays, and with one that does not, in place of one that stayed; and one that subscribes
 * and changes its mind.
 */
class StartingAnew {
  readonly #history: MemoryHistory;
  readonly #port: number;
  readonly #clients: RecordingClient[] = [];
  readonly #anew: RecordingClient;
  readonly #turns: readonly [RecordingClient, RecordingClient];
  readonly #undecided: RecordingClient;
  #turn = 0;

  constructor(history: MemoryHistory, port: number) {
    this.#history = history;
    this.#port = port;
    this.#anew = this.#create('anew', 'anew', { clean: true });
    this.#turns = [
      this.#create('stays', 'turn', {}),
      this.#create('passes', 'turn', { clean: true, expiryS: 0 }),
    ];
    this.#undecided = this.#create('undecided', 'undecided', {});
    void this.#anew.subscribe('t/0', { qos: 2 });
    void this.#turns[0].subscribe('t/1', { qos: 2 });
  }

  /** Leaves a session with a subscription behind. */
  async park(clientId: string, filter: string): Promise<void> {
    const client = this.#create(clientId, clientId, {});
    client.start();
    await client.subscribe(filter, { qos: 2 });
    client.leave();
  }

  next(): void {
    const [one, other] = this.#turn++ % 2 === 0 ? this.#turns : this.#turns.toReversed();
    other?.leave();
    one?.start();
    if (this.#turn % 4 === 0) this.#anew.cut();
    else this.#anew.start();
    this.#undecided.start();
    if (this.#undecided.connected) {
      void this.#undecided.subscribe('c/+', { qos: 1 });
      void this.#undecided.unsubscribe('c/+');
    }
  }

  leave(): void {
    for (const client of this.#clients) client.leave();
  }

  #create(actor: string, clientId: string, changes: { clean?: boolean; expiryS?: number }): RecordingClient {
    const client = new RecordingClient({
      ...{ history: this.#history, actor, publisher: 100 + this.#clients.length, clientId },
      ...{ endpoint: { port: this.#port }, reconnectMinMs: 10, reconnectMaxMs: 100, ...changes },
    });
    this.#clients.push(client);
    return client;
  }
}

/** @returns why a gateway process does not start there; undefined: it does. */
async function startsOn(dataDir: string): Promise<string | undefined> {
  const gateway = new GatewayProcess({ dataDir, port: 0 });
  const isReady = await gateway.whenReady();
  if (isReady) await gateway.kill();
  const [fault] = gateway.errors;
  if (!isReady) return `no gateway starts on the image: ${gateway.text}`;
  return fault === undefined ? undefined : `a gateway on the image logs ${JSON.stringify(fault)}`;
}
