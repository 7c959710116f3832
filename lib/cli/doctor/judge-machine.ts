/** Whether the program can run here, and whether the clock may be believed. Pure. */
import { failure, type Finding, ok, skipped, warning } from './finding.js';

/** As in `engines` of package.json. */
const NODE_MIN: Version = [20, 11];
/** Of the prebuilt sodium-native; Raspberry Pi OS and Debian have it since 12 (Bookworm), Ubuntu since 22.04. */
const GLIBC_MIN: Version = [2, 33];
/** For which all native packages have prebuilt binaries, and the tests run. */
const ARCHITECTURES: readonly string[] = ['x64', 'arm64'];
const BOOKWORM = 'use a 64-bit system of 2022 or later: Raspberry Pi OS or Debian 12, Ubuntu 22.04';

type Version = readonly [major: number, minor: number];

export interface MachineFound {
  /** `20.11.1` */
  readonly nodeVersion: string;
  /** As Node.js names it: `linux`. */
  readonly platform: string;
  readonly architecture: string;
  /** undefined: not Linux, or another library than glibc. */
  readonly glibcVersion: string | undefined;
}

function parseVersion(text: string): Version {
  const [major = '', minor = ''] = text.split('.');
  return [Number.parseInt(major, 10) || 0, Number.parseInt(minor, 10) || 0];
}

function isBefore(text: string, [minMajor, minMinor]: Version): boolean {
  const [major, minor] = parseVersion(text);
  return major < minMajor || (major === minMajor && minor < minMinor);
}

export function judgeNode({ nodeVersion }: MachineFound): Finding {
  if (!isBefore(nodeVersion, NODE_MIN)) return ok('node', nodeVersion);
  return failure('node', nodeVersion, `install Node.js ${NODE_MIN.join('.')} or later`);
}

export function judgePlatform(found: MachineFound): Finding {
  const { platform, architecture, glibcVersion } = found;
  const value = `${platform} ${architecture}${glibcVersion === undefined ? '' : `, glibc ${glibcVersion}`}`;
  const measured = { ...found, glibcVersion: glibcVersion ?? null };
  if (!ARCHITECTURES.includes(architecture)) {
    return failure(
      'platform',
      value,
      `the encryption of the mesh has no build for ${architecture}: ${BOOKWORM}`,
      measured,
    );
  }
  if (platform !== 'linux') {
    const advice = 'it may work: Linux is what it is tested on';
    return warning('platform', value, advice, measured);
  }
  if (glibcVersion === undefined) {
    const advice = `the encryption of the mesh has no build for systems without glibc, such as Alpine: ${BOOKWORM}`;
    return failure('platform', value, advice, measured);
  }
  if (!isBefore(glibcVersion, GLIBC_MIN)) return ok('platform', value, measured);
  const advice = `the encryption of the mesh needs glibc ${GLIBC_MIN.join('.')} or later: ${BOOKWORM}`;
  return failure('platform', value, advice, measured);
}

/** A package with machine code, and why it cannot be loaded; undefined: it can. */
export interface PackageFound {
  readonly name: string;
  readonly fault: string | undefined;
}

export function judgePackages(packages: readonly PackageFound[]): Finding {
  const faulty = packages.filter(({ fault }) => fault !== undefined);
  const names = packages.map(({ name }) => name).join(', ');
  if (faulty.length === 0) return ok('native packages', `${names} load`);
  return failure(
    'native packages',
    faulty.map(({ name, fault }) => `${name} does not load: ${fault ?? ''}`).join('; '),
    'install sprawl-edge again on this very machine, with the Node.js that runs it (npm ci); where that does not help, see "platform"',
  );
}

/** Whoever installed it lived later than this. 2025-01-01 */
const EARLIEST_MS = 1_735_689_600_000;
/** A clock beyond it was never set. */
const AHEAD_MAX_MS = 20 * 365 * 86_400_000;
/** What a clock may be corrected by. */
const BEHIND_MAX_MS = 60_000;

export interface ClockFound {
  readonly wallMs: number;
  /** When the program was built or installed; 0: unknown. */
  readonly builtMs: number;
  /** The latest time that the gateway of this folder has ever seen; 0: none. */
  readonly floorMs: number;
}

export function judgeClock({ wallMs, builtMs, floorMs }: ClockFound): Finding {
  const value = isoText(wallMs);
  const advice =
    'set the clock, and let a time server keep it (timedatectl set-ntp true); a machine without a battery for its clock needs one at each start';
  const earliest = Math.max(EARLIEST_MS, builtMs);
  const measured = { wallMs };
  if (wallMs < earliest - BEHIND_MAX_MS) {
    const why = builtMs > EARLIEST_MS ? 'before this program was built' : 'in the past';
    return failure('clock', `${value}: ${why} (${isoText(earliest)})`, advice, measured);
  }
  if (wallMs < floorMs - BEHIND_MAX_MS) {
    const why = `behind the latest time that this gateway has seen (${isoText(floorMs)})`;
    return failure('clock', `${value}: ${why}`, advice, measured);
  }
  if (wallMs > earliest + AHEAD_MAX_MS)
    return failure('clock', `${value}: too far in the future`, advice, measured);
  return ok('clock', value, measured);
}

function isoText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** @param isSynchronized undefined: the machine does not tell */
export function judgeTimeServer(isSynchronized: boolean | undefined): Finding {
  if (isSynchronized === undefined)
    return skipped('time server', 'unknown: this machine does not tell whether its clock is kept by one');
  if (isSynchronized) return ok('time server', 'the clock is in step with one');
  return warning(
    'time server',
    'the clock is not in step with one',
    'timedatectl set-ntp true, and let UDP port 123 out; message expiry and the times in archives are as wrong as the clock',
  );
}
