/** Runs one probe and prints its figures: `main.js <name> [numbers...]`. */
import { archiveLive, archiveRate } from './archive-probes.js';
import { bytes, endurance, recovery } from './gateway-probes.js';
import type { Sample } from '../row.js';
import { backlog } from './backlog.js';
import { dht, interest, Skip } from './mesh-parts.js';
import { memoryQueued, memoryRetained, memorySessions } from './memory.js';
import { type Figures, find, queues, raw, read, write } from './store-probes.js';

const PROBES: Readonly<Record<string, (...numbers: number[]) => Promise<Figures>>> = {
  write: (seconds = 1) => write(seconds),
  raw: (seconds = 1, writeBytes = 32_768) => raw(seconds, writeBytes),
  read: (count = 1000) => read(count),
  find: (count = 1000) => find(count),
  queues: () => queues(),
  bytes: (seconds = 1) => bytes(seconds),
  recovery: (messages = 1000, sessions = 10) => recovery(messages, sessions),
  endurance: (seconds = 1) => endurance(seconds),
  'archive-folder': (count = 10_000) => archiveRate('folder', count),
  'archive-s3': (count = 10_000) => archiveRate('s3', count),
  'archive-live-folder': (count = 100_000, seconds = 1) => archiveLive('folder', count, seconds),
  'archive-live-s3': (count = 100_000, seconds = 1) => archiveLive('s3', count, seconds),
  'backlog-ours-mesh': (count = 1000) => backlog('ours-mesh', 'SIGKILL', count),
  'backlog-mosquitto': (count = 1000) => backlog('mosquitto-bridge-kept', 'SIGTERM', count),
  'memory-retained': (count = 1000, payloadBytes = 20) => memoryRetained(count, payloadBytes),
  'memory-queued': (count = 1000, payloadBytes = 20) => memoryQueued(count, payloadBytes),
  'memory-sessions': (count = 100, subscriptions = 1) => memorySessions(count, subscriptions),
  dht: (nodes = 20, lookups = 100) => dht(nodes, lookups),
  interest: (gateways = 100, filters = 100_000, lookups = 1000) => interest(gateways, filters, lookups),
};

const [name = '', ...numbers] = process.argv.slice(2);
const probe = PROBES[name];
if (probe === undefined) throw new Error(`${name} is no probe: one of ${Object.keys(PROBES).join(', ')}`);
const answer: Sample = await probe(...numbers.map(Number)).then(
  (figures): Sample => ({ kind: 'figures', figures }),
  (error: unknown): Sample => {
    if (error instanceof Skip) return { kind: 'skipped', reason: error.message };
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
  },
);
process.stdout.write(JSON.stringify(answer));
// A gateway that was killed, or a store that is closed, keeps nobody.
process.exit(0);
