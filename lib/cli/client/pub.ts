import { readFile } from 'node:fs/promises';
import type { IClientPublishOptions } from 'mqtt';
import { SprawlError } from '../../contracts/errors.js';
import { isValidTopicName } from '../../protocol/topic.js';
import { realTimers } from '../../real-clock.js';
import { usageError } from '../arguments.js';
import type { Invocation, World } from '../command.js';
import {
  closeConnection,
  openConnection,
  refusal,
  withExitCode,
  type ClientConnection,
} from './client-connection.js';
import { clientSettings, qosOption, seconds, wholeNumber, type ClientSettings } from './client-settings.js';
import { ClientExitCode } from './exit-code.js';
import { readAll, readLines } from './line-reader.js';

const SOURCES = ['message', 'file', 'null-message', 'stdin-file', 'stdin-line'] as const;
type Source = (typeof SOURCES)[number];

interface PubSettings {
  readonly client: ClientSettings;
  readonly topic: string;
  readonly source: Source;
  readonly publish: IClientPublishOptions;
  readonly repeatCount: number;
  readonly repeatDelayMs: number;
  readonly inflightMax: number;
}

function sourceOf(invocation: Invocation): Source {
  const given = SOURCES.filter((source) => invocation.has(source));
  const [source] = given;
  if (source === undefined)
    throw usageError(invocation.command, 'there is no message: give -m, -f, -n, -s or -l');
  if (given.length > 1)
    throw usageError(
      invocation.command,
      `only one kind of message can be sent: ${given.map((each) => `--${each}`).join(', ')}`,
    );
  return source;
}

function pubSettings(invocation: Invocation, world: World): PubSettings {
  const client = clientSettings(invocation, world);
  const topic = invocation.value('topic') ?? client.urlTopic;
  if (topic === undefined) throw usageError(invocation.command, 'there is no topic: give -t TOPIC');
  if (!isValidTopicName(topic)) {
    throw usageError(
      invocation.command,
      `${JSON.stringify(topic)} is not a topic to publish to: it must not be empty or hold + or #`,
    );
  }
  const properties = client.properties.publish;
  return {
    client,
    topic,
    source: sourceOf(invocation),
    publish: {
      qos: qosOption(invocation, 'qos'),
      retain: invocation.has('retain'),
      ...(properties === undefined ? {} : { properties }),
    },
    repeatCount: wholeNumber(invocation, 'repeat', 1, 1_000_000_000) ?? 1,
    repeatDelayMs: (seconds(invocation, 'repeat-delay') ?? 0) * 1000,
    inflightMax: wholeNumber(invocation, 'max-inflight', 1, 65_535) ?? 20,
  };
}

async function readPayload(invocation: Invocation, source: Source, world: World): Promise<Buffer> {
  switch (source) {
    case 'message':
      return Buffer.from(invocation.value('message') ?? '');
    case 'file':
      return readMessageFile(invocation.value('file') ?? '');
    case 'stdin-file':
      return readAll(world.stdin);
    case 'null-message':
    case 'stdin-line':
      return Buffer.alloc(0);
  }
}

async function readMessageFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SprawlError('USAGE', `cannot read the message: ${reason}`, { cause: error });
  }
}

async function send(connection: ClientConnection, settings: PubSettings, payload: Buffer): Promise<void> {
  const sent = connection.client
    .publishAsync(settings.topic, payload, settings.publish)
    .catch((error: unknown) => {
      throw refusal(`publishing to ${JSON.stringify(settings.topic)}`, error);
    });
  await Promise.race([sent, connection.lost]);
}

async function sendRepeatedly(
  connection: ClientConnection,
  settings: PubSettings,
  payload: Buffer,
): Promise<void> {
  for (let sent = 0; sent < settings.repeatCount; sent += 1) {
    if (sent > 0 && settings.repeatDelayMs > 0)
      await Promise.race([passed(settings.repeatDelayMs), connection.lost]);
    await send(connection, settings, payload);
  }
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => void realTimers.after(ms, resolve));
}

/** Sends lines as they come, a window of them at a time. The first failure ends the reading. */
async function sendLines(connection: ClientConnection, settings: PubSettings, world: World): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    world.stdin.destroy();
  };
  connection.lost.catch(fail);
  for await (const line of readLines(world.stdin)) {
    const sent = send(connection, settings, line)
      .catch(fail)
      .finally(() => inFlight.delete(sent));
    inFlight.add(sent);
    if (inFlight.size >= settings.inflightMax) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  if (failure !== undefined) throw failure;
}

/** `pub`: with the habits of mosquitto_pub. */
export async function runPub(invocation: Invocation, world: World): Promise<number> {
  const settings = pubSettings(invocation, world);
  const payload = await readPayload(invocation, settings.source, world);
  return withExitCode(settings.client, world, async () => {
    const connection = await openConnection(settings.client, world);
    try {
      if (settings.source === 'stdin-line') await sendLines(connection, settings, world);
      else await sendRepeatedly(connection, settings, payload);
      await closeConnection(connection, settings.client);
    } finally {
      connection.client.end(true);
    }
    return ClientExitCode.done;
  });
}
