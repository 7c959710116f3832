/**
 * Lives of a log on a disk that loses power and fails. After every operation on the disk an image of what a loss of power may leave
 * is opened like a log, and has to hold every record that was committed by then, and nothing that was never appended. Each life
 * begins on one of the images of the one before.
 */
import type { Log } from '../../storage/log/log.js';
import { FaultyFiles, ioError } from '../support/faulty-files.js';
import { append, openLog, readAll } from '../support/log-bench.js';
import { Random } from './random.js';

const LIVES = 3;
const RECORDS_PER_LIFE = 25;
const SITUATIONS = [
  'torn commit was cut',
  'record that nobody was told of survived',
  'sync failed and lost its writes',
  'space ran out in the middle of a write',
  'segment was new when power was lost',
  'floor was raised',
] as const;
export type LogSituation = (typeof SITUATIONS)[number];
export const LOG_SITUATIONS: readonly LogSituation[] = SITUATIONS;

interface Image {
  readonly files: FaultyFiles;
  readonly committed: number;
  readonly appended: number;
}

/** @throws Error with the seed in it, where a promise is broken. @returns how many images were looked at. */
export async function runLogCrashes(seed: number, saw: (situation: LogSituation) => void): Promise<number> {
  const random = new Random(seed, 'log');
  let files = new FaultyFiles();
  /** The body of each position that was ever appended in the line of lives. */
  const bodies = new Map<number, string>();
  let looked = 0;
  let committedBefore = 0;
  for (let life = 0; life < LIVES; life++) {
    const log = await openLog(files, { segmentMaxBytes: 2000 });
    if (log.committed < committedBefore) throw new Error(`seed ${seed}: committed records are gone`);
    const images: Image[] = [];
    const take = (): void => {
      const image = { files: files.crash(random), committed: log.committed, appended: log.position };
      images.push(image);
    };
    inject(files, random.fork(`faults ${life}`), saw);
    files.onEffect = take;
    await live(log, random, bodies, saw);
    files.onOperation = () => {};
    files.quotaBytes = Infinity;
    await log.close();
    take();
    for (const image of images) {
      await check(image, bodies, log.reader.first, seed, saw);
      looked++;
    }
    const next = images[random.integer(0, images.length - 1)] as Image;
    files = next.files;
    committedBefore = next.committed;
    const survivor = await openLog(files.copy());
    for (const position of bodies.keys()) if (position > survivor.committed) bodies.delete(position);
    await survivor.close();
  }
  return looked;
}

async function live(
  log: Log,
  random: Random,
  bodies: Map<number, string>,
  saw: (situation: LogSituation) => void,
): Promise<void> {
  for (let i = 0; i < RECORDS_PER_LIFE; i++) {
    const body = Buffer.alloc(random.pick([0, 10, 100, 600, 3000]), `${log.position + 1}:${random.u32()},`);
    bodies.set(append(log, 1, body), body.toString('latin1'));
    if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
    if (random.chance(0.04) && log.segments.length > 2) {
      await log.dropBefore(log.segments[1]?.header.first ?? 1).catch(() => undefined);
      saw('floor was raised');
    }
  }
  while (log.committed < log.position) await new Promise((resolve) => setImmediate(resolve));
}

/** Faults come one at a time and go away. */
function inject(files: FaultyFiles, random: Random, saw: (situation: LogSituation) => void): void {
  files.onOperation = (operation, path) => {
    if (files.quotaBytes !== Infinity && random.chance(0.3)) files.quotaBytes = Infinity;
    if (operation === 'sync' && random.chance(0.05)) {
      files.loseUnsynced(path);
      saw('sync failed and lost its writes');
      throw ioError(operation, path);
    }
    if (operation === 'write' && random.chance(0.03)) {
      files.quotaBytes = files.usedBytes + random.integer(0, 200);
      saw('space ran out in the middle of a write');
    }
    if ((operation === 'write' || operation === 'syncFolder') && random.chance(0.02))
      throw ioError(operation, path);
  };
}

async function check(
  image: Image,
  bodies: ReadonlyMap<number, string>,
  floor: number,
  seed: number,
  saw: (situation: LogSituation) => void,
): Promise<void> {
  const log = await openLog(image.files.copy());
  const { records, lost } = await readAll(log);
  const problem = (text: string): Error => new Error(`seed ${seed}: ${text}; ${JSON.stringify(log.report)}`);
  if (log.report.tornBytes > 0) saw('torn commit was cut');
  if (log.committed > image.committed) saw('record that nobody was told of survived');
  if (log.segments.at(-1)?.next === log.segments.at(-1)?.header.first)
    saw('segment was new when power was lost');
  if (log.committed < image.committed)
    throw problem(`${image.committed} were committed, ${log.committed} are there`);
  if (log.committed > image.appended)
    throw problem(`${log.committed} are there, ${image.appended} were appended`);
  if (lost.length > 0 || log.report.losses.length > 0) throw problem(`loss was reported: ${lost.join()}`);
  for (let position = Math.max(floor, log.reader.first); position <= log.committed; position++) {
    if (records.get(position)?.body !== bodies.get(position))
      throw problem(`position ${position} has another body`);
  }
  await log.close();
}
