/** Hours of partition, compressed: links are cut while many messages wait on each side. Then everybody gets all of them, in order. */
import { performance } from 'node:perf_hooks';
import { RecordingClient } from '../history/recording-client.js';
import { Random } from '../sim/random.js';
import { Recording } from './judgement.js';
import { MeshFormation } from './mesh-formation.js';
import { within } from './mesh-gateway.js';
import type { Way } from './mesh-network.js';
import type { ProofReport } from './report.js';

/** In flight and waiting at each publisher. */
const OPEN_MAX_COUNT = 256;
const CUT_SEEN_MAX_MS = 30_000;
const DRAIN_MAX_MS = 600_000;

/** @param messages on each side */
export async function meshBacklog(gateways: number, messages: number, seed: number): Promise<ProofReport> {
  const recording = new Recording(`backlog-${seed}`);
  const set = { 'storage.segmentMaxBytes': 4_194_304, 'storage.checkpointEveryBytes': 4_194_304 };
  const formation = new MeshFormation({ folder: recording.folder, count: gateways, set });
  const { network } = formation;
  let failed = true;
  let clients: BacklogClients | undefined;
  try {
    if (network.cannotCut !== undefined)
      return { figures: {}, failures: [], skipped: [`backlog of a partition: ${network.cannotCut}`] };
    await formation.start();
    clients = new BacklogClients(recording, formation, new Random(seed, 'backlog'));
    await clients.start();
    const left = formation.gateways.slice(0, Math.floor(gateways / 2));
    const right = formation.gateways.slice(left.length);
    const ways = left.flatMap((a) =>
      right.flatMap((b): Way[] => [
        [a.options.place, b.options.place],
        [b.options.place, a.options.place],
      ]),
    );
    recording.fault('partition');
    network.cut(ways);
    const isCut = async (): Promise<boolean> =>
      (await formation.unlinked([left[0], right[0]].flatMap((one) => one ?? []))) !== '';
    if ((await within(CUT_SEEN_MAX_MS, isCut)) === undefined) throw new Error('the cut was not noticed');
    const publishedMs = await clients.publish(messages);
    network.heal();
    recording.heal('partition');
    const healedAtMs = performance.now();
    const drainMs = await clients.whenAllHave(messages, DRAIN_MAX_MS);
    const linkedMs = await formation.rest(formation.gateways, DRAIN_MAX_MS);
    const { figures, failures } = await recording.judge(clients, {}, 1250, { elsewhereMs: 1e9 });
    const all = [
      ...failures,
      ...formation.gateways.flatMap((one) => one.complaints()),
      ...(drainMs === undefined
        ? [`not everything had come ${DRAIN_MAX_MS} ms after the end of the cut`]
        : []),
      ...formation.doubts(),
    ];
    failed = all.length > 0;
    return {
      figures: {
        'messages on each side': messages,
        'published in s': (publishedMs / 1000).toFixed(1),
        'all delivered after s': drainMs === undefined ? 'never' : (drainMs / 1000).toFixed(1),
        'at rest after s': ((performance.now() - healedAtMs) / 1000).toFixed(1),
        'of these waiting for acknowledgements, s': (linkedMs / 1000).toFixed(1),
        ...figures,
        'event loop, worst p99 in ms': Math.round(formation.lagMs),
        ...(failed && { 'kept in': recording.folder }),
      },
      failures: all,
    };
  } finally {
    clients?.leave();
    await formation.close();
    recording.close({ keep: failed });
  }
}

/** A publisher on each side, a subscriber at each gateway. */
class BacklogClients {
  readonly #publishers: RecordingClient[];
  readonly #subscribers: RecordingClient[];
  readonly #counts: number[];
  #heardAtMs = 0;

  constructor(recording: Recording, { gateways }: MeshFormation, random: Random) {
    const { history } = recording;
    const common = { reconnectMaxMs: 300, inflightMax: 64, random: () => random.float() };
    const edges = [gateways[0], gateways.at(-1)].flatMap((one) => one ?? []);
    this.#publishers = edges.map(({ name, endpoint }, publisher) => {
      const id = `p-${name}`;
      return new RecordingClient({ ...common, history, actor: id, clientId: id, publisher, endpoint });
    });
    this.#counts = gateways.map(() => 0);
    this.#subscribers = gateways.map(({ name, endpoint }, i) => {
      const id = `s-${name}`;
      return new RecordingClient({
        ...{ ...common, history, actor: id, clientId: id, publisher: edges.length + i, endpoint },
        onMessage: () => {
          this.#heardAtMs = performance.now();
          this.#counts[i] = (this.#counts[i] ?? 0) + 1;
        },
      });
    });
  }

  async start(): Promise<void> {
    for (const client of [...this.#publishers, ...this.#subscribers]) client.start();
    await Promise.all(
      this.#subscribers.map((client, i) => client.subscribe('b/#', { qos: i % 2 === 0 ? 2 : 1 })),
    );
    await Promise.all(this.#publishers.map((client) => client.whenConnected()));
  }

  /** @returns how long it took */
  async publish(count: number): Promise<number> {
    const startedAtMs = performance.now();
    await Promise.all(
      this.#publishers.map(async (client, side) => {
        for (let n = 0; n < count; n++) {
          // As fast as they are acknowledged.
          // eslint-disable-next-line no-await-in-loop
          if (client.pendingCount >= OPEN_MAX_COUNT)
            await client.until(() => client.pendingCount < OPEN_MAX_COUNT);
          void client.publish({ topic: `b/${side}/${n % 20}`, qos: n % 4 === 0 ? 2 : 1, paddingBytes: 40 });
        }
        await client.whenSettled();
      }),
    );
    return performance.now() - startedAtMs;
  }

  whenAllHave(perSide: number, maxMs: number): Promise<number | undefined> {
    return within(maxMs, () => this.#counts.every((count) => count >= perSide * 2), 50);
  }

  get faults(): string[] {
    return [...this.#publishers, ...this.#subscribers].flatMap(({ faults }) => faults);
  }

  async drain(): Promise<void> {
    await Promise.all(this.#publishers.map((client) => client.whenSettled()));
  }

  async whenQuiet(forMs: number, maxMs: number): Promise<void> {
    const startedAtMs = performance.now();
    this.#heardAtMs = startedAtMs;
    await within(maxMs, () => performance.now() - this.#heardAtMs > forMs);
  }

  leave(): void {
    for (const client of [...this.#publishers, ...this.#subscribers]) client.leave();
  }
}
