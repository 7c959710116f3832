import {
  Catalog,
  linesOf,
  type ObjectStore,
  readSelection,
  type RowBatch,
  type StoredRow,
  withArchive,
} from '../archive-tools.js';
import { parseConfig } from '../config/index.js';
import { SprawlError } from '../contracts/errors.js';
import { archiveSelection } from './archive-selection.js';
import { usageError } from './arguments.js';
import { writeChunks } from './chunk-output.js';
import type { ReceivedMessage } from './client/message-format.js';
import type { MessagePrinter } from './client/message-printer.js';
import { wholeNumber } from './client/client-settings.js';
import type { parseStoredProperties } from './client/stored-properties.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';

type Output = (batches: AsyncIterable<RowBatch>, limit: number) => AsyncIterable<Uint8Array>;

type PropertiesOf = typeof parseStoredProperties;

const CHOICES = ['format', 'verbose', 'payload-only'] as const;

/** `archive cat`: prints what was archived. @throws SprawlError ARCHIVE_… */
export async function runArchiveCat(invocation: Invocation, world: World): Promise<number> {
  const selection = archiveSelection(invocation);
  const limit = wholeNumber(invocation, 'limit', 1, Number.MAX_SAFE_INTEGER) ?? Infinity;
  const output = await outputOf(invocation, world);
  const config = parseConfig(configSources(invocation, world));
  await withArchive(config, (store: ObjectStore) =>
    writeChunks(world, output(readSelection(new Catalog(store), selection), limit)),
  );
  return ExitCode.done;
}

async function outputOf(invocation: Invocation, world: World): Promise<Output> {
  const given = CHOICES.filter((long) => invocation.has(long));
  if (given.length > 1)
    throw usageError(
      invocation.command,
      `${given.map((long) => `--${long}`).join(' and ')} exclude each other`,
    );
  if (given.length === 0) return linesOf;
  const { printerOf } = await import('./client/message-printer.js');
  const print = printerOf(invocation, invocation.has('verbose') ? '%t %p' : '%p');
  const stored = await import('./client/stored-properties.js');
  return (batches, limit) => printed(batches, limit, print, stored.parseStoredProperties, world);
}

async function* printed(
  batches: AsyncIterable<RowBatch>,
  limit: number,
  print: MessagePrinter,
  propertiesOf: PropertiesOf,
  { stderr }: World,
): AsyncGenerator<Uint8Array> {
  let left = limit;
  for await (const rows of batches) {
    const parts: Buffer[] = [];
    for (const row of rows.slice(0, left)) {
      try {
        parts.push(print(messageOf(row, propertiesOf)));
      } catch (error) {
        // A payload that %J finds is no JSON.
        if (!(error instanceof SprawlError)) throw error;
        stderr.write(`Error: ${error.message}\n`);
      }
    }
    yield Buffer.concat(parts);
    left -= rows.length;
    if (left <= 0) return;
  }
}

function messageOf(
  { topic, payload, qos, retain, properties, timeMs }: StoredRow,
  propertiesOf: PropertiesOf,
): ReceivedMessage {
  const found = propertiesOf(properties);
  return {
    topic,
    payload: Buffer.from(payload.buffer, payload.byteOffset, payload.length),
    packet: {
      qos: qos === 1 || qos === 2 ? qos : 0,
      retain,
      ...(found === undefined ? {} : { properties: found }),
    },
    receivedAt: new Date(timeMs),
  };
}
