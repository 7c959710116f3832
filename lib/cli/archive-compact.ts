import { type Amount, compactConfigured, type CompactedOrigin } from '../archive-tools.js';
import { parseConfig } from '../config/index.js';
import { DURATION_FORMS, parseDurationText } from '../time-text.js';
import { originPrefixes } from './archive-selection.js';
import { usageError } from './arguments.js';
import { wholeNumber } from './client/client-settings.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { nowAndThen } from './now-and-then.js';
import { size, table } from './size.js';

/** `archive compact`: merges small objects, and removes what was replaced. @throws SprawlError ARCHIVE_… */
export async function runArchiveCompact(invocation: Invocation, world: World): Promise<number> {
  const origins = originPrefixes(invocation);
  const [isDry, isAlone] = [invocation.has('dry-run'), invocation.has('litter')];
  const isRekeying = invocation.has('rekey');
  const minBytes = wholeNumber(invocation, 'min-bytes', 1, Number.MAX_SAFE_INTEGER);
  const targetBytes = wholeNumber(invocation, 'target-bytes', 1, Number.MAX_SAFE_INTEGER);
  if (minBytes !== undefined && targetBytes !== undefined && minBytes > targetBytes)
    throw usageError(
      invocation.command,
      '--min-bytes is more than --target-bytes: objects would never be done',
    );
  const graceMs = graceOf(invocation);
  const config = parseConfig(configSources(invocation, world));
  const tell = nowAndThen(world.stderr);
  const done = await compactConfigured(config, {
    ...{ origins, minBytes, targetBytes, graceMs, isAlone, isDry, isRekeying },
    onProgress: ({ merges, bytes }) => tell(() => `${size(bytes)} read, ${merges} merges`),
    onWarning: (text) => void world.stderr.write(`warning: ${text}\n`),
  });
  world.stdout.write(
    invocation.has('json')
      ? `${JSON.stringify({ dryRun: isDry, origins: done.map(forPrograms) }, undefined, 2)}\n`
      : [...table(originRows(done)), ...notes(done, isDry), ''].join('\n'),
  );
  return ExitCode.done;
}

function graceOf(invocation: Invocation): number | undefined {
  const text = invocation.value('grace');
  if (text === undefined) return undefined;
  const graceMs = parseDurationText(text);
  if (graceMs !== undefined) return graceMs;
  throw usageError(invocation.command, `--grace must be ${DURATION_FORMS}; not ${JSON.stringify(text)}`);
}

function originRows(done: readonly CompactedOrigin[]): string[][] {
  return [
    ['origin', 'merges', 'entries', 'objects merged', 'into', 'removed', 'litter removed', 'still there'],
    ...done.map(({ origin, merges, entries, before, after, removed }) => [
      ...[origin, String(merges), String(entries)],
      amountText(before),
      amountText(after),
      amountText(removed?.replaced),
      amountText(removed?.litter),
      amountText(removed?.waiting),
    ]),
  ];
}

function amountText(amount: Amount | undefined): string {
  return amount === undefined ? '-' : `${amount.objects} (${size(amount.bytes)})`;
}

function notes(done: readonly CompactedOrigin[], isDry: boolean): string[] {
  const lines: string[] = [];
  for (const { origin, removed } of done) {
    if (removed === undefined) {
      lines.push(`${origin}: others compacted it at the same time, and nothing was removed: run it again`);
      continue;
    }
    const { waiting, waitsUntilMs = 0, underWay } = removed;
    if (waiting.objects > 0)
      lines.push(
        `${origin}: ${waiting.objects} replaced objects stay for those who read them; a run after ${timeText(waitsUntilMs)} removes all of them`,
      );
    if (underWay.objects > 0)
      lines.push(
        `${origin}: ${underWay.objects} objects are of a merge that is not written, yet or never: --litter removes them`,
      );
  }
  if (isDry) lines.push('nothing was done: --dry-run');
  return lines;
}

function timeText(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? `${timeMs} ms after 1970` : time.toISOString();
}

function forPrograms({ removed, after, ...one }: CompactedOrigin): unknown {
  if (removed === undefined) return { ...one, after: after ?? null, removed: null };
  const { waitsUntilMs, ...amounts } = removed;
  const waitsUntil = waitsUntilMs === undefined ? null : timeText(waitsUntilMs);
  return { ...one, after: after ?? null, removed: { ...amounts, waitsUntil } };
}
