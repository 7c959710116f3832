/** Data folders that were damaged while no gateway ran: the last record torn, bits changed, files gone. */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readU32, readU48, RECORD_HEADER_BYTES } from '../../../storage/log/record.js';
import { SEGMENT_HEADER_BYTES } from '../../../storage/log/segment-header.js';
import type { Random } from '../../sim/random.js';
import { MemoryHistory } from '../../history/history-writer.js';
import { RecordingClient } from '../../history/recording-client.js';
import { GatewayProcess } from '../gateway-process.js';
import { recoveryFault } from '../judgement.js';
import type { ProofReport } from '../report.js';
import { type Comparison, compare } from './compare.js';
import { ARCHIVE, type Original } from './original.js';
import { freePort } from '../../support/free-port.js';

/** With such a refusal the gateway says what to do, and nothing is touched. */

/** Behind everything that waits. */
const LAST = 'last';
const PART_LOST = 'a part of the log is lost';
const ONE_LOST = 'a message that waited for a client is lost';

class Tally {
  readonly failures: string[] = [];
  readonly refusals = new Map<string, number>();
  readonly kinds = { whole: 0, reported: 0, refused: 0 };
  lost = 0;

  add(what: string, { kind, lost, faults, reason }: Comparison): void {
    this.kinds[kind]++;
    this.lost += lost;
    if (reason !== undefined) this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
    if (faults.length > 0) this.failures.push(`${what}: ${faults.slice(0, 3).join('; ')} (${faults.length})`);
  }

  get text(): string {
    const { whole, reported, refused } = this.kinds;
    return `${whole} without a loss, ${reported} with one that is reported (${this.lost} messages), ${refused} refused`;
  }
}

/** The last segment, cut at bytes of its last record. @param every 1: at each of them. */
export async function tornTails(original: Original, every: number): Promise<ProofReport> {
  const tally = new Tally();
  const probe = original.copy();
  const segments = readdirSync(join(probe, 'log')).toSorted();
  const name = segments[segments.length - 1] ?? '';
  const bytes = readFileSync(join(probe, 'log', name));
  const { at, position, size } = lastRecord(bytes);
  rmSync(probe, { recursive: true, force: true });
  let cuts = 0;
  for (let left = 0; left < size; left += every) {
    const copy = original.copy();
    truncateSync(join(copy, 'log', name), at + left);
    cuts++;
    const comparison = await compare(copy, original, { unreportedFrom: position });
    tally.add(`${left} of ${size} bytes of the last record are left`, comparison);
    if (comparison.kind === 'reported' && comparison.lost > 1)
      tally.failures.push(`${left} bytes left: ${comparison.lost} messages are lost`);
    rmSync(copy, { recursive: true, force: true });
  }
  return {
    figures: { 'torn tails': `${cuts} of the ${size} bytes of the last record` },
    failures: tally.failures,
  };
}

function lastRecord(bytes: Buffer): {
  readonly at: number;
  readonly position: number;
  readonly size: number;
} {
  let at = SEGMENT_HEADER_BYTES;
  for (;;) {
    const size = RECORD_HEADER_BYTES + readU32(bytes, at + 4);
    if (at + size >= bytes.length) return { at, position: readU48(bytes, at + 8), size };
    at += size;
  }
}

/** One bit changed, at random over the bytes of all files. */
export async function bitFlips(original: Original, flips: number, random: Random): Promise<ProofReport> {
  const tally = new Tally();
  const byFile = new Map<string, number>();
  const files = original.files().filter(({ size }) => size > 0);
  const firstOfLastCommit = beginningOfLastCommit(original);
  let total = 0;
  let replays = 0;
  for (const { size } of files) total += size;
  for (let i = 0; i < flips; i++) {
    const copy = original.copy();
    // Half of them by the bytes, half by the files: small ones matter, too.
    let at = random.integer(0, total - 1);
    let file = files.find(({ size }) => (at -= size) < 0) ?? files[0];
    if (random.chance(0.5)) file = files[random.integer(0, files.length - 1)];
    if (file === undefined) break;
    const offset = random.integer(0, file.size - 1);
    const path = join(copy, file.path);
    const bytes = readFileSync(path);
    bytes[offset] = (bytes[offset] ?? 0) ^ (1 << random.integer(0, 7));
    writeFileSync(path, bytes);
    const kind = file.path.replace(/[^/]*$/, '') || file.path;
    byFile.set(kind, (byFile.get(kind) ?? 0) + 1);
    // Without the database all of the log is replayed.
    const isReplayed = file.path.startsWith('log/') && random.chance(0.5);
    if (isReplayed) {
      replays++;
      for (const name of ['index', 'snapshots']) rmSync(join(copy, name), { recursive: true, force: true });
    }
    // Bits of the very last commit look like a torn one.
    const allowed = {
      ...(file.path.startsWith('log/') && { unreportedFrom: firstOfLastCommit }),
      ...(isReplayed && { applied: 0 }),
    };
    tally.add(
      `a bit of ${file.path} at ${offset} of ${file.size}${isReplayed ? ', without the database' : ''}`,
      await compare(copy, original, allowed),
    );
    rmSync(copy, { recursive: true, force: true });
  }
  return {
    figures: {
      'changed bits': `${flips}: ${[...byFile].map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
      'of these without the database': replays,
      'after a changed bit': tally.text,
    },
    failures: tally.failures,
  };
}

/** The position from which on a changed bit looks like a torn commit. */
function beginningOfLastCommit(original: Original): number {
  const copy = original.copy();
  const segments = readdirSync(join(copy, 'log')).toSorted();
  const bytes = readFileSync(join(copy, 'log', segments[segments.length - 1] ?? ''));
  rmSync(copy, { recursive: true, force: true });
  let position = 0;
  for (let at = SEGMENT_HEADER_BYTES; at < bytes.length; at += RECORD_HEADER_BYTES + readU32(bytes, at + 4))
    if (bytes[at + 15] === 1) position = readU48(bytes, at + 8);
  return position;
}

/** Each kind of file gone. @param startEvery one in so many is opened by a process, too. */
export async function deletedFiles(original: Original, startEvery: number): Promise<ProofReport> {
  const failures: string[] = [];
  const figures: Record<string, string> = {};
  for (const [i, path] of toDelete(original).entries()) {
    const without = (): string => {
      const copy = original.copy();
      rmSync(join(copy, path), { recursive: true, force: true });
      return copy;
    };
    const copy = without();
    const comparison = await compare(copy, original);
    for (const fault of comparison.faults.slice(0, 3)) failures.push(`without ${path}: ${fault}`);
    figures[`without ${path}`] = `${comparison.kind}, ${comparison.lost} messages lost`;
    rmSync(copy, { recursive: true, force: true });
    if (i % startEvery !== 0) continue;
    const second = without();
    const started = await start(second);
    figures[`without ${path}`] += `; ready after ${started.readyMs ?? 'never'} ms`;
    failures.push(...startFaults(comparison, started).map((fault) => `without ${path}: ${fault}`));
    rmSync(second, { recursive: true, force: true });
  }
  return { figures, failures };
}

function startFaults({ lost, lostOfBacklog }: Comparison, { readyMs, errors, text }: Started): string[] {
  if (readyMs === undefined) return [`no gateway starts: ${text}`];
  const faults = recoveryFault('it started', readyMs);
  // Of whole ranges when it starts; of single messages of a backlog when their turn has come.
  const ranges = errors.filter(
    ({ message, first, last }) => message === PART_LOST && first !== undefined && last !== undefined,
  );
  const singles = errors.filter(
    ({ message, client, position }) => message === ONE_LOST && client === ARCHIVE && position !== undefined,
  );
  const isSaid = lost === 0 ? errors.length === 0 : ranges.length > 0 || singles.length === lostOfBacklog;
  if (!isSaid) faults.push(`${lost} messages are lost, and the log says ${JSON.stringify(errors)}`);
  return faults;
}

function toDelete(original: Original): string[] {
  const paths = original.files().map(({ path }) => path);
  const under = (folder: string): string[] => paths.filter((path) => path.startsWith(folder));
  const segments = under('log/');
  const snapshots = under('snapshots/');
  const middle = segments[Math.floor(segments.length / 2)];
  return [
    'index/CURRENT',
    ...under('index/MANIFEST'),
    ...under('index/').filter((path) => /\.(ldb|log)$/.test(path)),
    ...(middle === undefined ? [] : [middle]),
    ...segments.slice(-1),
    ...segments.slice(0, 1),
    ...snapshots.slice(-1),
    'snapshots',
    'index',
    'identity.json',
    'lock',
  ];
}

interface Started {
  readonly readyMs: number | undefined;
  readonly errors: GatewayProcess['errors'];
  readonly text: string;
}

/** A gateway on the folder, and the client whose backlog is all of it. */
async function start(dataDir: string): Promise<Started> {
  const port = await freePort();
  const gateway = new GatewayProcess({ dataDir, port });
  if (!(await gateway.whenReady())) return { readyMs: undefined, errors: gateway.errors, text: gateway.text };
  const readyMs = Math.round(performance.now() - gateway.startedAtMs);
  const history = new MemoryHistory('after');
  const archive = new RecordingClient({
    ...{ history, actor: ARCHIVE, publisher: 0, clientId: ARCHIVE, endpoint: { port } },
  });
  archive.start();
  await archive.whenConnected();
  // It waits behind the backlog.
  const last = new Promise<void>((resolve) => {
    void archive
      .until(() => history.events.some((event) => event.e === 'recv' && event.topic === LAST))
      .then(resolve);
  });
  await archive.subscribe(LAST, { qos: 1 });
  await archive.publish({ topic: LAST, qos: 1 });
  await last;
  archive.leave();
  await gateway.kill();
  return { readyMs, errors: gateway.errors, text: gateway.text };
}
