/** What the figures were taken on: no table without it. */
import { cpus, loadavg, release, totalmem } from 'node:os';
import { TARGETS, gitCommit, type TargetName } from './targets.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** One-minute load average when the run began. */
  readonly load: number;
  readonly node: string;
  readonly commit: string | undefined;
  readonly versions: Readonly<Partial<Record<TargetName, string>>>;
}

/** Above this load something else is running, and the figures say little. */
const QUIET_LOAD = 0.5;

export function describeMachine(targets: readonly TargetName[]): Machine {
  const versions: Partial<Record<TargetName, string>> = {};
  for (const name of targets) versions[name] = TARGETS[name].version() ?? 'missing';
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    load: loadavg()[0] ?? 0,
    node: process.version,
    commit: gitCommit(),
    versions,
  };
}

export function machineLines(machine: Machine): string[] {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}`,
    `node ${machine.node}, commit ${machine.commit ?? 'unknown'}, ${versions.join(', ')}`,
  ];
  if (machine.load > QUIET_LOAD) {
    lines.push(
      `load average ${machine.load.toFixed(2)}: something else is running, do not quote these figures`,
    );
  }
  return lines;
}
