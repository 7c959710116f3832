/** A data folder that a gateway left behind when it was killed, and what is in it: what is damaged afterwards is a copy. */
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { CheckedStore } from '../../../storage/state/checked-store.js';
import { LevelStore } from '../../../storage/state/level-store.js';
import { MemoryHistory } from '../../history/history-writer.js';
import { RecordingClient } from '../../history/recording-client.js';
import { Random } from '../../sim/random.js';
import { Fleet } from '../fleet.js';
import { GatewayProcess } from '../gateway-process.js';
import { type LoggedMessage, withRestored } from '../restored.js';
import { freePort } from '../../support/free-port.js';

export const ARCHIVE = 'archive';
const LOAD_MS = 2500;

export interface SessionFacts {
  readonly filters: readonly string[];
  readonly queuedCount: number;
}

/** What a whole folder holds. */
export interface Facts {
  readonly messages: ReadonlyMap<number, LoggedMessage>;
  readonly sessions: ReadonlyMap<string, SessionFacts>;
  /** The database has everything up to it: what comes after is replayed at the start. */
  readonly applied: number;
  readonly last: number;
}

export class Original {
  readonly clientIds: readonly string[];
  readonly facts: Facts;
  readonly #folder: string;
  #copies = 0;

  private constructor(folder: string, clientIds: readonly string[], facts: Facts) {
    this.#folder = folder;
    this.clientIds = clientIds;
    this.facts = facts;
  }

  static async create(seed: number): Promise<Original> {
    const folder = mkdtempSync(join(tmpdir(), 'sprawl-disk-'));
    const dataDir = join(folder, 'original');
    const port = await freePort();
    const gateway = new GatewayProcess({ dataDir, port, set: { 'limits.diskMaxBytes': 16_777_216 } });
    await gateway.whenReady();
    const history = new MemoryHistory('disk');
    const archive = new RecordingClient({
      ...{ history, actor: ARCHIVE, publisher: 100, clientId: ARCHIVE, endpoint: { port } },
    });
    archive.start();
    await archive.subscribe('t/#', { qos: 2 });
    archive.leave();
    const fleet = new Fleet({ history, port, random: new Random(seed, 'original') });
    await fleet.start();
    fleet.load();
    await elapse(LOAD_MS);
    await gateway.kill();
    fleet.leave();
    rmSync(join(dataDir, 'ballast'), { force: true });
    const clientIds = [ARCHIVE, 'p5', 'p4', 'q5', 'k5', 'k4', 'all5', 'all4', 'g5', 'g4', 'churn'];
    return new Original(folder, clientIds, await factsOf(dataDir, folder, clientIds));
  }

  /** @returns the folder of a fresh copy. */
  copy(): string {
    const to = join(this.#folder, `copy-${this.#copies++}`);
    cpSync(join(this.#folder, 'original'), to, { recursive: true });
    return to;
  }

  /** All files of the folder but what is not worth anything: paths from it, and sizes. */
  files(): { readonly path: string; readonly size: number }[] {
    const root = join(this.#folder, 'original');
    return readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => ({ path: path.slice(root.length + 1), size: statSync(path).size }))
      .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function factsOf(dataDir: string, folder: string, clientIds: readonly string[]): Promise<Facts> {
  const copy = join(folder, 'looked-at');
  cpSync(dataDir, copy, { recursive: true });
  const state = await CheckedStore.open(new LevelStore(join(copy, 'index')), 'l/', () => undefined);
  const { applied } = state.head;
  await state.close();
  let facts: Facts | undefined;
  await withRestored(copy, ({ messages, session, queuedCount }) => {
    const sessions = new Map<string, SessionFacts>();
    for (const clientId of clientIds) {
      const filters = (session(clientId)?.subscriptions ?? []).map(({ filter }) => filter).toSorted();
      sessions.set(clientId, { filters, queuedCount: queuedCount(clientId) });
    }
    facts = { messages: new Map(messages), sessions, applied, last: Math.max(...messages.keys()) };
  });
  rmSync(copy, { recursive: true, force: true });
  if (facts === undefined || facts.messages.size === 0) throw new Error('the gateway stored nothing');
  return facts;
}
