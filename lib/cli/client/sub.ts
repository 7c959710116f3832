import type { IClientSubscribeOptions, IPublishPacket, MqttClient } from 'mqtt';
import { isValidSubscription, isValidTopicFilter, topicMatchesFilter } from '../../protocol/topic.js';
import type { TimerHandle } from '../../contracts/clock.js';
import { SprawlError } from '../../contracts/errors.js';
import { realTimers } from '../../real-clock.js';
import { usageError } from '../arguments.js';
import type { Invocation, World } from '../command.js';
import { topicFilters } from '../topic-filters.js';
import {
  clientFailure,
  closeConnection,
  grantedOf,
  openConnection,
  refusal,
  withExitCode,
  type ClientConnection,
} from './client-connection.js';
import { clientSettings, qosOption, seconds, wholeNumber, type ClientSettings } from './client-settings.js';
import { ClientExitCode } from './exit-code.js';
import { type MessagePrinter, printerOf } from './message-printer.js';
import type { ReceivedMessage } from './message-format.js';

interface SubSettings {
  readonly client: ClientSettings;
  readonly filters: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly subscribe: IClientSubscribeOptions;
  readonly print: MessagePrinter;
  readonly filterOut: readonly string[];
  readonly countMax: number;
  readonly timeoutMs: number | undefined;
  readonly retained: 'all' | 'none' | 'only';
  readonly removeRetained: boolean;
  readonly exitAfterSubscribe: boolean;
}

function subSettings(invocation: Invocation, world: World): SubSettings {
  const client = clientSettings(invocation, world);
  const filters = topicFilters(invocation, 'topic', isValidSubscription);
  if (client.urlTopic !== undefined) filters.push(client.urlTopic);
  const unsubscribe = topicFilters(invocation, 'unsubscribe', isValidSubscription);
  if (filters.length + unsubscribe.length === 0)
    throw usageError(invocation.command, 'there is no topic: give -t FILTER');
  if (invocation.has('no-retained') && invocation.has('retained-only')) {
    throw usageError(invocation.command, '-R and --retained-only exclude each other');
  }
  const timeoutS = seconds(invocation, 'timeout');
  const properties = client.properties.subscribe;
  return {
    client,
    filters,
    unsubscribe,
    subscribe: {
      qos: qosOption(invocation, 'qos'),
      ...(client.version === 5 ? { rap: invocation.has('retain-as-published') } : {}),
      ...(properties === undefined ? {} : { properties }),
    },
    print: printerOf(invocation, invocation.has('verbose') ? '%t %p' : '%p'),
    filterOut: topicFilters(invocation, 'filter-out', isValidTopicFilter),
    countMax: wholeNumber(invocation, 'count', 1, Number.MAX_SAFE_INTEGER) ?? Infinity,
    timeoutMs: timeoutS === undefined ? undefined : timeoutS * 1000,
    retained: invocation.has('no-retained') ? 'none' : invocation.has('retained-only') ? 'only' : 'all',
    removeRetained: invocation.has('remove-retained'),
    exitAfterSubscribe: invocation.has('exit-after-subscribe'),
  };
}

/** Prints what arrives until there is a reason to end. */
class Printer {
  readonly #settings: SubSettings;
  readonly #world: World;
  readonly #client: MqttClient;
  readonly #end: () => void;
  #printedCount = 0;
  #ended = false;

  constructor(settings: SubSettings, world: World, client: MqttClient, end: () => void) {
    this.#settings = settings;
    this.#world = world;
    this.#client = client;
    this.#end = end;
  }

  take(topic: string, payload: Buffer, packet: IPublishPacket): void {
    const { filterOut, retained, removeRetained, countMax } = this.#settings;
    if (this.#ended) return;
    if (retained === 'only' && !packet.retain) return this.#finish();
    if (filterOut.some((filter) => topicMatchesFilter(topic, filter))) return;
    if (packet.retain && removeRetained && payload.length > 0) {
      this.#client.publish(topic, '', { retain: true, qos: 1 });
    }
    if (packet.retain && retained === 'none') return;
    if (!this.#print({ topic, payload, packet, receivedAt: new Date() })) return;
    this.#printedCount += 1;
    if (this.#printedCount >= countMax) this.#finish();
  }

  #print(message: ReceivedMessage): boolean {
    try {
      this.#world.stdout.write(this.#settings.print(message));
      return true;
    } catch (error) {
      if (!(error instanceof SprawlError)) throw error;
      if (!this.#settings.client.quiet) this.#world.stderr.write(`Error: ${error.message}\n`);
      return false;
    }
  }

  #finish(): void {
    this.#ended = true;
    this.#end();
  }
}

const REFUSED = 0x80;

/** One refused filter among others is told, and the others are received, as with mosquitto_sub. */
function checkGranted(settings: SubSettings, world: World, error: unknown): void {
  const refused = grantedOf(error).map((code, index) => ({ code, filter: settings.filters[index] }));
  const failures = refused
    .filter(({ code }) => code >= REFUSED)
    .map(({ code, filter }) => refusal(`subscribing to ${JSON.stringify(filter)}`, error, code));
  const [first = refusal('subscribing', error)] = failures;
  if (failures.length === refused.length) throw first;
  if (settings.client.quiet) return;
  for (const { message } of failures) world.stderr.write(`Warning: ${message}\n`);
}

async function subscribe(
  { client, lost }: ClientConnection,
  settings: SubSettings,
  world: World,
): Promise<void> {
  const { unsubscribe, filters } = settings;
  const properties = settings.client.properties.unsubscribe;
  if (unsubscribe.length > 0) {
    const options = properties === undefined ? {} : { properties };
    await Promise.race([client.unsubscribeAsync([...unsubscribe], options), lost]);
  }
  if (filters.length === 0) return;
  const granted = client
    .subscribeAsync([...filters], settings.subscribe)
    .catch((error: unknown) => checkGranted(settings, world, error));
  await Promise.race([granted, lost]);
}

/** A promise for one of the ends of `sub`, and the functions that bring them about. */
function ending(
  settings: SubSettings,
  world: World,
): { ended: Promise<void>; end: () => void; release: () => void } {
  let end = (): void => undefined;
  let timer: TimerHandle | undefined;
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    if (settings.timeoutMs === undefined) return;
    const timedOut = (): void => reject(clientFailure('timed out', ClientExitCode.timedOut));
    timer = realTimers.after(settings.timeoutMs, timedOut);
  });
  ended.catch(() => undefined); // It may come before anybody waits for it.
  world.process.on('SIGINT', end);
  world.process.on('SIGTERM', end);
  const release = (): void => {
    timer?.cancel();
    world.process.removeListener('SIGINT', end);
    world.process.removeListener('SIGTERM', end);
  };
  return { ended, end, release };
}

async function receive(
  settings: SubSettings,
  world: World,
  ended: Promise<void>,
  end: () => void,
): Promise<void> {
  const opening = openConnection(settings.client, world, (client) => {
    const printer = new Printer(settings, world, client, end);
    client.on('message', (topic, payload, packet) => printer.take(topic, payload, packet));
  });
  const connection = await Promise.race([opening, ended.then(() => undefined)]);
  if (connection === undefined) return;
  try {
    await Promise.race([subscribe(connection, settings, world), ended]);
    if (!settings.exitAfterSubscribe) await Promise.race([ended, connection.lost]);
    await closeConnection(connection, settings.client);
  } finally {
    connection.client.end(true);
  }
}

/** `sub`: with the habits of mosquitto_sub. */
export async function runSub(invocation: Invocation, world: World): Promise<number> {
  const settings = subSettings(invocation, world);
  return withExitCode(settings.client, world, async () => {
    const { ended, end, release } = ending(settings, world);
    try {
      await receive(settings, world, ended, end);
      return ClientExitCode.done;
    } finally {
      release();
    }
  });
}
