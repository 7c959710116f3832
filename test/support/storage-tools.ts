/** Data folders in memory, filled by a real store, and the tools for them. */
import { createMessage } from '../../lib/message/message.js';
import type { Message } from '../../lib/message/message.js';
import type { SessionImage } from '../../lib/contracts/store.js';
import { realTimers } from '../../lib/real-clock.js';
import type { DiskStore } from '../../storage/disk/disk-store.js';
import type { DiskStoreOptions } from '../../storage/disk/options.js';
import { writeIdentity } from '../../storage/disk/identity.js';
import { layoutOf } from '../../storage/disk/layout.js';
import type { ToolParts } from '../../storage/tools/data-folder.js';
import { RecordedSessions, testStore, type TestStoreParts, testStoreParts } from './disk-store.js';
import { FaultyFiles } from './faulty-files.js';
import { MemoryKeyValue } from './memory-key-value.js';
import { nullLogger } from './null-logger.js';
import { str } from './protocol-bytes.js';

export const CLIENT = 'pump-7';
const RETAINED_EVERY = 50;

export function toolsFor(
  { files, databases, clock }: TestStoreParts,
  folder = '/data',
  more: Partial<ToolParts> = {},
): ToolParts {
  return {
    files,
    folder,
    openDatabase: (path) => databases.of(path),
    copyDatabase: async (path) => {
      const copy = new MemoryKeyValue();
      copy.exists = databases.of(path).exists;
      for (const [key, value] of databases.of(path).values) copy.values.set(key, Uint8Array.from(value));
      return copy;
    },
    compactDatabase: async () => undefined,
    keyProvider: { masterKeys: async () => [] },
    clock,
    timers: realTimers,
    logger: nullLogger,
    schedule: setImmediate,
    onProgress: () => undefined,
    ...more,
  };
}

export function imageOf(clientId: string): SessionImage {
  return {
    clientId,
    username: undefined,
    expiryS: 3600,
    parkedAt: 1000,
    will: undefined,
    subscriptions: [],
    inbound: [],
    inFlight: [],
    burned: [],
    owed: [],
  };
}

export function textMessage(topic: string, text: string, retain = false): Message {
  return createMessage({ topic, topicBytes: str(topic), payload: Buffer.from(text), qos: 1, retain });
}

/** What was stored: the text of each position, and the positions that wait for CLIENT. */
export interface Filling {
  readonly texts: Map<number, string>;
  readonly waiting: number[];
}

export interface FilledFolder extends TestStoreParts {
  readonly filling: Filling;
}

export async function openStore(
  parts: TestStoreParts,
  options: Partial<DiskStoreOptions> = {},
): Promise<{ readonly store: DiskStore; readonly sessions: RecordedSessions }> {
  const store = testStore(parts, options);
  const sessions = new RecordedSessions();
  sessions.images.set(CLIENT, imageOf(CLIENT));
  await store.open(sessions);
  return { store, sessions };
}

/** A session that is away, with a queue; nothing is in it yet. */
export function park(store: DiskStore, clientId: string): void {
  store.record({ kind: 'created', clientId, username: undefined, expiryS: 3600, will: undefined });
  store.createQueue(clientId);
}

/** Publishes `count` messages, of which those from `waitFrom` on wait for CLIENT. */
export async function publish(
  store: DiskStore,
  { texts, waiting }: Filling,
  count: number,
  waitFrom: number,
): Promise<void> {
  const queue = store.createQueue(CLIENT);
  for (let n = 0; n < count; n++) {
    const text = `${texts.size}`.padEnd(100, '.');
    const isRetained = n % RETAINED_EVERY === 0;
    const message = textMessage(isRetained ? `r/${n}` : 't', text, isRetained);
    const position = store.append(message, undefined);
    if (isRetained) store.retained.set(message);
    texts.set(position, text);
    if (n >= waitFrom) {
      queue.push(message, 1, undefined);
      waiting.push(position);
    }
    if (n % 20 === 19) await store.log.flush();
  }
  await store.log.flush();
}

/** A folder of several segments and snapshots; closed in order, or as a crash of the process leaves it. */
export async function filledFolder(count = 1000, waitFrom = 700, isClosed = true): Promise<FilledFolder> {
  const parts = testStoreParts();
  const filling: Filling = { texts: new Map(), waiting: [] };
  const { store } = await openStore(parts);
  park(store, CLIENT);
  await publish(store, filling, count, waitFrom);
  await store.settled();
  if (isClosed) await store.close();
  // What a folder of LevelDB would have.
  parts.files.overwrite('/data/index/CURRENT', Buffer.from('MANIFEST\n'));
  parts.files.overwrite('/data/lock/CURRENT', Buffer.from('MANIFEST\n'));
  return { files: parts.files.copy(), databases: parts.databases, clock: parts.clock, filling };
}

/** Everything that is in files and databases, to compare. */
export function imprint({ files, databases }: TestStoreParts, folder = '/data'): string {
  const chunks = files.paths().map((path) => `${path} ${files.contents(path).toString('base64')}`);
  for (const [key, value] of databases.of(`${folder}/index`).values)
    chunks.push(`${key} ${Buffer.from(value).toString('base64')}`);
  return chunks.join('\n');
}

/** Texts of the messages that the log of a folder has. */
export async function readTexts(parts: TestStoreParts, folder = '/data'): Promise<Map<number, string>> {
  const { store } = await openStore(parts, { folder });
  const texts = new Map<number, string>();
  for (let at = store.log.reader.first; at <= store.log.committed;) {
    const positions = Array.from({ length: Math.min(200, store.log.committed - at + 1) }, (_, i) => at + i);
    const messages = await new Promise<readonly (Message | undefined)[]>((resolve) =>
      store.read(positions, resolve),
    );
    for (const message of messages)
      if (message !== undefined) texts.set(message.position, Buffer.from(message.payload).toString());
    at += positions.length;
  }
  await store.close();
  return texts;
}

export function flip(files: FaultyFiles, path: string, at: number): void {
  const bytes = files.contents(path);
  bytes[at] = (bytes[at] as number) ^ 0x10;
}

export function flipValue(values: Map<string, Uint8Array>, key: string, at: number): void {
  const bytes = values.get(key);
  if (bytes === undefined) throw new Error(`there is no ${key}`);
  bytes[at] = (bytes[at] as number) ^ 1;
}

export function segmentsOf(files: FaultyFiles, folder = '/data'): string[] {
  return files.paths().filter((path) => path.startsWith(`${folder}/log/`) && path.endsWith('.log'));
}

/** What identity.json has of a gateway of this identity. */
export async function identityFile(id: Uint8Array): Promise<Uint8Array> {
  const files = new FaultyFiles();
  const layout = layoutOf('/data');
  await writeIdentity(files, layout, id);
  return files.contents(layout.identity);
}
