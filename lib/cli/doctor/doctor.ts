import { parseConfig } from '../../config/index.js';
import { version } from '../../version.js';
import type { Invocation, World } from '../command.js';
import { configSources } from '../config-sources.js';
import { ExitCode } from '../exit-code.js';
import { examine } from './examination.js';
import { type Finding, gravest } from './finding.js';
import { createProbes } from './machine-probes.js';
import type { Probes } from './probes.js';

function after(ms: number): Promise<undefined> {
  // It holds nobody up who is done before.
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}

/** `doctor`: looks at this machine. Resolves to 1 where a check failed. @param probes replaces those of the machine in tests */
export async function runDoctor(
  invocation: Invocation,
  world: World,
  probes: Probes = createProbes(world.stderr),
): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const findings = await examine(config, probes, after);
  const text = invocation.has('json')
    ? JSON.stringify({ version, verdict: gravest(findings), checks: findings.map(forPrograms) }, undefined, 2)
    : lines(findings).join('\n');
  world.stdout.write(`${text}\n`);
  return gravest(findings) === 'fail' ? ExitCode.failed : ExitCode.done;
}

function forPrograms({ advice, measured, ...rest }: Finding): unknown {
  return { ...rest, advice: advice === '' ? null : advice, measured: measured ?? null };
}

function lines(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length)) + 2;
  const indent = ' '.repeat(6 + width);
  const rows = findings.flatMap(({ check, verdict, value, advice }) => [
    `${verdict.padEnd(6)}${check.padEnd(width)}${value}`,
    ...(advice === '' ? [] : [`${indent}-> ${advice}`]),
  ]);
  return [...rows, '', summary(findings)];
}

function summary(findings: readonly Finding[]): string {
  const count = (verdict: Finding['verdict']): number =>
    findings.filter((finding) => finding.verdict === verdict).length;
  const [failures, warnings] = [count('fail'), count('warn')];
  if (failures + warnings === 0) return 'nothing is wrong';
  return `${failures} failed, ${warnings} to look at`;
}
