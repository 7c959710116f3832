/** Runs one probe and prints its figures: `main.js <name> [numbers...]`. */
import { bytes, endurance, recovery } from './gateway-probes.js';
import { type Figures, find, queues, read, write } from './store-probes.js';

const PROBES: Readonly<Record<string, (...numbers: number[]) => Promise<Figures>>> = {
  write: (seconds = 1) => write(seconds),
  read: (count = 1000) => read(count),
  find: (count = 1000) => find(count),
  queues: () => queues(),
  bytes: (seconds = 1) => bytes(seconds),
  recovery: (messages = 1000, sessions = 10) => recovery(messages, sessions),
  endurance: (seconds = 1) => endurance(seconds),
};

const [name = '', ...numbers] = process.argv.slice(2);
const probe = PROBES[name];
if (probe === undefined) throw new Error(`${name} is no probe: one of ${Object.keys(PROBES).join(', ')}`);
const figures = await probe(...numbers.map(Number));
process.stdout.write(JSON.stringify({ kind: 'figures', figures }));
// A gateway that was killed, or a store that is closed, keeps nobody.
process.exit(0);
