/**
 * The well-behaved clients that share the gateway with the attackers: four publishers with strict sequences, readers of everything in
 * each version, a reader with tight limits, and a shared group.
 */
import type { Properties } from '../../lib/protocol/index.js';
import { Ledger, type Stream } from './ledger.js';
import type { Random } from './random.js';
import { StrictClient } from './strict-client.js';

const STREAMS = [
  { topic: 'well/v4/qos1', qos: 1, version: 4 },
  { topic: 'well/v4/qos2', qos: 2, version: 4 },
  { topic: 'well/v5/qos1', qos: 1, version: 5 },
  { topic: 'well/v5/qos2', qos: 2, version: 5 },
] as const;
const READERS = [
  { name: 'reader-v4', version: 4, filter: '#', qos: 2 },
  {
    name: 'reader-v5',
    version: 5,
    filter: '#',
    qos: 2,
    identifier: 7,
    receiveMaximum: 50,
    topicAliasMaximum: 3,
  },
  { name: 'narrow-v5', version: 5, filter: 'well/#', qos: 2, receiveMaximum: 5, maximumPacketSize: 600 },
  { name: 'shared-v4', version: 4, filter: '$share/well/#', qos: 1, group: 'shared' },
  { name: 'shared-v5', version: 5, filter: '$share/well/#', qos: 2, group: 'shared', topicAliasMaximum: 3 },
] as const;
const BEAT_MS = 5;
const MESSAGES_PER_BEAT = 1;
const IN_FLIGHT_MAX_COUNT = 20;
const FILLER_MAX_BYTES = 300;

interface Publisher {
  readonly client: StrictClient;
  readonly stream: Stream;
  readonly version: 4 | 5;
}

export class Bystanders {
  readonly ledger: Ledger;
  readonly #random: Random;
  #publishers: readonly Publisher[] = [];
  #readers: readonly StrictClient[] = [];
  #timer: NodeJS.Timeout | undefined;

  private constructor(ledger: Ledger, random: Random) {
    this.ledger = ledger;
    this.#random = random;
  }

  static async connect(port: number, random: Random, onFault: (fault: string) => void): Promise<Bystanders> {
    const ledger = new Ledger(`run-${random.int(1e9)}`, STREAMS, onFault);
    const bystanders = new Bystanders(ledger, random);
    bystanders.#readers = await Promise.all(
      READERS.map(async (reader) => {
        const { name, filter, qos } = reader;
        const onMessage = 'group' in reader ? ledger.member(reader.group, name) : ledger.reader(name);
        const client = await StrictClient.connect({ ...reader, port, clientId: name, onMessage, onFault });
        await client.subscribe(filter, qos, 'identifier' in reader ? reader.identifier : undefined);
        return client;
      }),
    );
    bystanders.#publishers = await Promise.all(
      STREAMS.map(async ({ topic, version }) => {
        const stream = ledger.streams.find((one) => one.topic === topic);
        if (stream === undefined) throw new Error(`no stream ${topic}`);
        const onMessage = (): void => onFault(`${topic}: its publisher got a message without a subscription`);
        const client = await StrictClient.connect({ port, version, clientId: topic, onMessage, onFault });
        return { client, stream, version };
      }),
    );
    return bystanders;
  }

  get count(): number {
    return this.#readers.length + this.#publishers.length;
  }

  get subscriptions(): number {
    return this.#readers.length;
  }

  publish(): void {
    this.#timer ??= setInterval(() => {
      for (const publisher of this.#publishers) this.#beat(publisher);
    }, BEAT_MS);
  }

  /** Publishes no more. Resolves to what is still owed to somebody when time is up, which should be nothing. */
  async settle(timeoutMs: number): Promise<string[]> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const deadline = performance.now() + timeoutMs;
    // Each answered ping means that whatever the gateway had sent by then has been read.
    while (this.ledger.owed().length > 0 && performance.now() < deadline) await this.#pingAll(deadline);
    return this.ledger.owed();
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(
      [...this.#readers, ...this.#publishers.map(({ client }) => client)].map((one) => one.leave()),
    );
  }

  #beat({ client, stream, version }: Publisher): void {
    for (let left = MESSAGES_PER_BEAT; left > 0 && client.inFlight < IN_FLIGHT_MAX_COUNT; left--) {
      const payload = this.ledger.next(stream, this.#random.int(FILLER_MAX_BYTES));
      const properties: Properties =
        version === 5 && this.#random.chance(0.5)
          ? { userProperties: [['sequence', String(stream.sent)]] }
          : {};
      client.publish(stream.topic, payload, stream.qos, properties, () => stream.acknowledged++);
    }
  }

  async #pingAll(deadline: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
    });
    await Promise.race([Promise.all(this.#readers.map((client) => client.ping())), late]);
    clearTimeout(timer);
  }
}
