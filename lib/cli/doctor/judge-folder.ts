/** Whether the data folder can keep what the gateway promises. Pure. */
import { size } from '../size.js';
import { failure, type Finding, ok, warning } from './finding.js';

export interface FolderFound {
  readonly path: string;
  /** What was looked at: the folder, or where it does not exist yet the nearest above it. */
  readonly lookedAt: string;
  readonly exists: boolean;
  readonly isInUse: boolean;
  /** It belongs to the user that looks. */
  readonly isOwn: boolean;
  /** Why nothing can be written there; undefined: it can. */
  readonly fault: string | undefined;
}

export function judgeFolder({ path, lookedAt, exists, isInUse, isOwn, fault }: FolderFound): Finding {
  if (fault !== undefined) {
    const value = exists
      ? `${path} cannot be written: ${fault}`
      : `${path} cannot be made in ${lookedAt}: ${fault}`;
    return failure(
      'data folder',
      value,
      'give the folder to the user that runs the gateway (chown), or name another one with --data-dir; a file system that became read-only has a fault: dmesg tells which',
    );
  }
  if (!exists) return ok('data folder', `${path} does not exist yet, and can be made`);
  const value = `${path} can be written${isInUse ? ', and a gateway runs on it' : ''}`;
  if (isOwn) return ok('data folder', value);
  return warning(
    'data folder',
    `${value}; it belongs to another user`,
    'run this as the user that runs the gateway: what another one may do says little',
  );
}

export interface SpaceFound {
  /** Of the file system, for this user. */
  readonly freeBytes: number;
  /** By what is in the data folder. */
  readonly usedBytes: number;
}

export interface SpaceLimits {
  readonly diskMaxBytes: number;
  readonly diskReserveBytes: number;
}

export function judgeSpace({ freeBytes, usedBytes }: SpaceFound, limits: SpaceLimits): Finding {
  const { diskMaxBytes, diskReserveBytes } = limits;
  const value = `${size(freeBytes)} free, ${size(usedBytes)} in the data folder`;
  const measured = { freeBytes, usedBytes, diskMaxBytes, diskReserveBytes };
  if (freeBytes <= diskReserveBytes) {
    return failure(
      'free space',
      `${value}: less than the ${size(diskReserveBytes)} that limits.diskReserveBytes keeps free`,
      'free some space: until then the gateway refuses messages that it would have to store',
      measured,
    );
  }
  const room = freeBytes - diskReserveBytes + usedBytes;
  if (room >= diskMaxBytes) return ok('free space', value, measured);
  return warning(
    'free space',
    `${value}: the gateway may use ${size(diskMaxBytes)} (limits.diskMaxBytes), and has room for ${size(room)}`,
    'free some space, or lower limits.diskMaxBytes: messages are refused sooner than it says',
    measured,
  );
}

const FAST_MS = 10;
const SLOW_MS = 100;
/** A card that stands still for so long now and then. */
const PAUSE_MS = 1000;

/** @param tookMs of each write with its sync */
export function judgeSync(tookMs: readonly number[]): Finding {
  const sorted = [...tookMs].sort((a, b) => a - b);
  const p50Ms = sorted[Math.floor((sorted.length - 1) / 2)];
  const worstMs = sorted.at(-1);
  if (p50Ms === undefined || worstMs === undefined)
    return failure('sync speed', 'not one write of 4 KiB ended', 'the disk is at fault: dmesg tells more');
  const value = `p50 ${ms(p50Ms)}, worst ${ms(worstMs)} (${sorted.length} writes of 4 KiB)`;
  const measured = { p50Ms, worstMs, count: sorted.length };
  if (p50Ms >= SLOW_MS) {
    return failure(
      'sync speed',
      value,
      'every acknowledgement of QoS 1 and 2 waits this long: use another disk (an SSD, or a card of class A2), or storage.durability memory where losing messages is no harm',
      measured,
    );
  }
  if (p50Ms < FAST_MS && worstMs < PAUSE_MS) return ok('sync speed', value, measured);
  const why =
    p50Ms >= FAST_MS
      ? 'a slow card: acknowledgements of QoS 1 and 2 wait this long'
      : 'the disk pauses now and then, as worn cards do';
  return warning('sync speed', value, `${why}; an SSD, or a card of class A2, is faster`, measured);
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
