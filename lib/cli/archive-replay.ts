import type { IClientPublishOptions } from 'mqtt';
import {
  Catalog,
  type ObjectStore,
  readInOrder,
  type Selection,
  type StoredRow,
  whileWanted,
  withArchive,
} from '../archive-tools.js';
import { parseConfig } from '../config/index.js';
import { isValidTopicName } from '../protocol/topic.js';
import { realClock } from '../real-clock.js';
import { archiveSelection } from './archive-selection.js';
import { usageError } from './arguments.js';
import {
  clientFailure,
  closeConnection,
  openConnection,
  refusal,
  withExitCode,
  type ClientConnection,
} from './client/client-connection.js';
import { clientSettings, wholeNumber, type ClientSettings } from './client/client-settings.js';
import { ClientExitCode } from './client/exit-code.js';
import { parseStoredProperties } from './client/stored-properties.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { Interruption } from './interruption.js';
import { nowAndThen } from './now-and-then.js';
import { Pace } from './pace.js';

interface ReplaySettings {
  readonly client: ClientSettings;
  readonly selection: Selection;
  readonly prefix: string;
  /** Times as fast as it was; Infinity: without pauses. */
  readonly speed: number;
  readonly keepsRetain: boolean;
  readonly inflightMax: number;
}

const INFLIGHT_COUNT = 100;
/** Of MQTT 5, where the broker names none [MQTT 5, section 3.2.2.3.3]. */
const RECEIVE_MAXIMUM = 65_535;
const SPEED = /^\d+(?:\.\d+)?$/;

/** `archive replay`: publishes what was archived. @throws SprawlError ARCHIVE_… */
export async function runArchiveReplay(invocation: Invocation, world: World): Promise<number> {
  const settings = replaySettings(invocation, world);
  const config = parseConfig(configSources(invocation, world));
  return withExitCode(settings.client, world, () =>
    withArchive(config, (store) => replay(store, settings, world)),
  );
}

function replaySettings(invocation: Invocation, world: World): ReplaySettings {
  const prefix = invocation.value('prefix') ?? 'replay/';
  if (prefix !== '' && !isValidTopicName(prefix))
    throw usageError(
      invocation.command,
      `--prefix ${JSON.stringify(prefix)} begins no topic: it must not hold + or #`,
    );
  return {
    client: clientSettings(invocation, world),
    selection: archiveSelection(invocation),
    prefix,
    speed: speedOf(invocation),
    keepsRetain: invocation.has('retain'),
    inflightMax: wholeNumber(invocation, 'max-inflight', 1, 65_535) ?? INFLIGHT_COUNT,
  };
}

function speedOf(invocation: Invocation): number {
  const text = invocation.value('speed') ?? 'original';
  if (text === 'original') return 1;
  if (text === 'max') return Infinity;
  if (SPEED.test(text) && Number(text) > 0) return Number(text);
  throw usageError(
    invocation.command,
    `--speed must be original, max, or a number above 0, not ${JSON.stringify(text)}`,
  );
}

async function replay(store: ObjectStore, settings: ReplaySettings, world: World): Promise<number> {
  const interruption = new Interruption(world);
  try {
    let receiveMaximum = RECEIVE_MAXIMUM;
    const opening = openConnection(settings.client, world, (client) =>
      client.once('connect', ({ properties }) => {
        receiveMaximum = properties?.receiveMaximum ?? RECEIVE_MAXIMUM;
      }),
    );
    const connection = await Promise.race([opening, interrupted(interruption.stopping)]);
    if (connection !== undefined) {
      try {
        const publisher = new Replayer(connection, settings, receiveMaximum, world, interruption);
        await publisher.run(store);
        // It would wait for the same acknowledgements.
        if (!interruption.leaving.aborted) await closeConnection(connection, settings.client);
        publisher.tellEnd();
      } finally {
        connection.client.end(true);
      }
    }
    return interruption.exitCode ?? ClientExitCode.done;
  } finally {
    interruption.release();
  }
}

function interrupted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
}

/** Publishes rows with the pauses between them, a window of them at a time. */
class Replayer {
  readonly #connection: ClientConnection;
  readonly #settings: ReplaySettings;
  readonly #world: World;
  readonly #interruption: Interruption;
  readonly #pace: Pace;
  readonly #tell: (text: () => string) => void;
  readonly #inflightMax: number;
  /** Ends pauses: interrupted, or no connection any more. */
  readonly #stop = new AbortController();
  /** The times of what is sent and not acknowledged. */
  readonly #inFlight = new Set<Pick<StoredRow, 'timeMs'>>();
  /** Called when a message is not in flight any more. */
  #onRoom: () => void = () => undefined;
  #sentCount = 0;
  #ackedCount = 0;
  #failure: unknown;
  /** Of the row that was sent last, milliseconds since 1970. */
  #timeMs: number | undefined;

  /** @param receiveMaximum what the broker takes at a time */
  constructor(
    connection: ClientConnection,
    settings: ReplaySettings,
    receiveMaximum: number,
    world: World,
    interruption: Interruption,
  ) {
    this.#connection = connection;
    this.#settings = settings;
    this.#world = world;
    this.#interruption = interruption;
    this.#pace = new Pace(settings.speed, realClock);
    this.#inflightMax = Math.min(settings.inflightMax, receiveMaximum);
    this.#tell = nowAndThen(world.stderr);
    connection.lost.catch((error: unknown) => this.#fail(error));
    interruption.stopping.addEventListener('abort', () => this.#halt());
    interruption.leaving.addEventListener('abort', () => this.#onRoom());
  }

  /** @throws SprawlError CLIENT_CONNECT_FAILED, and what reading does */
  async run(store: ObjectStore): Promise<void> {
    try {
      await this.#sendAll(new Catalog(whileWanted(store, this.#stop.signal)));
    } catch (error) {
      // What reading says that was stopped is of no interest.
      if (!this.#isOver) throw error;
    }
    while (this.#inFlight.size > 0 && this.#failure === undefined && !this.#interruption.leaving.aborted)
      await this.#change();
    if (this.#failure !== undefined) throw this.#failure;
  }

  tellEnd(): void {
    const { stderr } = this.#world;
    const sent = `${this.#ackedCount} messages were published`;
    if (!this.#interruption.stopping.aborted) stderr.write(`${sent}\n`);
    else if (this.#timeMs === undefined) stderr.write('interrupted before the first message\n');
    else if (this.#inFlight.size === 0)
      stderr.write(
        `interrupted; ${sent}; the rest: --from ${timeText(this.#timeMs)} (what is of this millisecond comes once more)\n`,
      );
    else
      stderr.write(
        `interrupted; ${sent}, ${this.#inFlight.size} more were not acknowledged; these and the rest: --from ${timeText(this.#openMs(this.#timeMs))} (what is published already from then on comes once more)\n`,
      );
  }

  /** The time from which on everything is that is not acknowledged. The clock of a gateway may have been set back meanwhile. */
  #openMs(lastMs: number): number {
    let openMs = lastMs;
    for (const { timeMs } of this.#inFlight) openMs = Math.min(openMs, timeMs);
    return openMs;
  }

  async #sendAll(catalog: Catalog): Promise<void> {
    for await (const rows of readInOrder(catalog, this.#settings.selection)) {
      for (const row of rows) {
        if (!this.#pace.isDue(row.timeMs)) await this.#pace.until(row.timeMs, this.#stop.signal);
        if (this.#inFlight.size >= this.#inflightMax) await this.#room();
        if (this.#isOver) return;
        this.#send(row);
      }
    }
  }

  get #isOver(): boolean {
    return this.#failure !== undefined || this.#interruption.stopping.aborted;
  }

  /** Resolves when one more may be in flight, or it is over. */
  async #room(): Promise<void> {
    while (this.#inFlight.size >= this.#inflightMax && !this.#isOver) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#onRoom = resolve));
  }

  #send(row: StoredRow): void {
    const { client } = this.#connection;
    const { payload, timeMs } = row;
    const sent = { timeMs };
    const topic = `${this.#settings.prefix}${row.topic}`;
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
    this.#inFlight.add(sent);
    this.#sentCount++;
    this.#timeMs = timeMs;
    client.publish(topic, bytes, this.#optionsOf(row), (error) => {
      this.#inFlight.delete(sent);
      if (error) this.#fail(refusal(`publishing to ${JSON.stringify(topic)}`, error));
      else this.#ackedCount++;
      this.#onRoom();
    });
    this.#tell(() => `${this.#sentCount} messages, up to ${timeText(timeMs)}`);
  }

  #optionsOf({ qos, retain, properties }: StoredRow): IClientPublishOptions {
    const { client, keepsRetain } = this.#settings;
    const found = client.version === 5 ? parseStoredProperties(properties) : undefined;
    const given = client.properties.publish;
    return {
      qos: qos === 1 || qos === 2 ? qos : 0,
      retain: keepsRetain && retain,
      ...(found === undefined && given === undefined ? {} : { properties: { ...found, ...given } }),
    };
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : clientFailure(String(error), ClientExitCode.failed);
    this.#halt();
  }

  #halt(): void {
    this.#stop.abort();
    this.#onRoom();
  }
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
