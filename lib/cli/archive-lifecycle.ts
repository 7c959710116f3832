import {
  areasOf,
  type BucketFinding,
  type BucketRule,
  judgeBucket,
  ownRuleIds,
  ownRules,
  type PendingUpload,
  type RuleSet,
  type S3Lifecycle,
  touches,
  type Versioning,
  withLifecycle,
} from '../archive-tools.js';
import { parseConfig } from '../config/index.js';
import { realClock } from '../real-clock.js';
import { usageError } from './arguments.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { daysOption, lifecycleAction, ruleWishes, storeAbortsUploads } from './lifecycle-options.js';
import {
  findingText,
  ruleText,
  UPLOADS_TOLD_MAX_COUNT,
  uploadText,
  versioningText,
} from './lifecycle-text.js';

const DAY_MS = 86_400_000;

/**
 * `archive lifecycle`: the rules of the bucket that an archive is in. Resolves to 1 where `check` finds what is dangerous or missing.
 * @throws SprawlError USAGE, ARCHIVE_UNREACHABLE
 */
export async function runArchiveLifecycle(invocation: Invocation, world: World): Promise<number> {
  const action = lifecycleAction(invocation);
  const run = action === 'set' ? settingOf(invocation, world) : lookOf(invocation, world, action === 'check');
  const config = parseConfig(configSources(invocation, world));
  return withLifecycle(config, async (lifecycle) => {
    if (lifecycle !== undefined) return run(lifecycle);
    const { target } = config.archive;
    world.stdout.write(
      invocation.has('json')
        ? `${JSON.stringify({ target, rules: null }, undefined, 2)}\n`
        : `${target} is a folder: a folder has no rules\n`,
    );
    return ExitCode.done;
  });
}

type Run = (lifecycle: S3Lifecycle) => Promise<number>;

/** @throws SprawlError USAGE */
function lookOf(invocation: Invocation, world: World, isCheck: boolean): Run {
  const keepDays = daysOption(invocation, 'keep-days');
  const abortDays = daysOption(invocation, 'abort-older-than', 0);
  const abortsUploads = storeAbortsUploads(invocation);
  return async (lifecycle) => {
    const nowMs = realClock.wall();
    // Before the rules: a store may have uploads and no rules.
    const uploads = await lookAtUploads(lifecycle, abortDays, nowMs, ({ key }) =>
      world.stderr.write(`aborted the upload of ${key}\n`),
    );
    const { rules } = await lifecycle.rules();
    const versioning = await lifecycle.versioning();
    const areas = areasOf(lifecycle.prefix);
    const look: Look = {
      ...{ name: lifecycle.name, all: rules, versioning, uploads, nowMs },
      rules: rules.filter((rule) => touches(rule, areas.all)),
      findings: isCheck ? judgeBucket({ rules, versioning }, areas, { keepDays, abortsUploads }) : undefined,
    };
    world.stdout.write(
      invocation.has('json') ? `${JSON.stringify(forPrograms(look), undefined, 2)}\n` : `${lookText(look)}\n`,
    );
    return look.findings?.some(({ verdict }) => verdict !== 'warning') === true
      ? ExitCode.failed
      : ExitCode.done;
  };
}

interface Uploads {
  readonly pending: readonly PendingUpload[];
  readonly aborted: readonly PendingUpload[];
}

async function lookAtUploads(
  lifecycle: S3Lifecycle,
  abortDays: number | undefined,
  nowMs: number,
  onAborted: (upload: PendingUpload) => void,
): Promise<Uploads> {
  const pending: PendingUpload[] = [];
  const aborted: PendingUpload[] = [];
  for await (const upload of lifecycle.uploads()) {
    const isOld = abortDays !== undefined && upload.begunMs <= nowMs - abortDays * DAY_MS;
    (isOld ? aborted : pending).push(upload);
  }
  // Behind the list: pages of one that shrinks may skip some.
  for (const upload of aborted) {
    await lifecycle.abort(upload);
    onAborted(upload);
  }
  return { pending, aborted };
}

interface Look {
  readonly name: string;
  readonly all: readonly BucketRule[];
  /** Those that may be about the archive. */
  readonly rules: readonly BucketRule[];
  readonly versioning: Versioning;
  readonly uploads: Uploads;
  /** Undefined: nobody asked. */
  readonly findings: readonly BucketFinding[] | undefined;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

function lookText({ name, all, rules, versioning, uploads, findings, nowMs }: Look): string {
  const { pending } = uploads;
  const told = pending.slice(0, UPLOADS_TOLD_MAX_COUNT);
  return [
    `${name}: ${versioningText(versioning)}`,
    `${rules.length} of ${all.length} rules are about it`,
    ...rules.map((rule) => `  ${ruleText(rule)}`),
    `${pending.length} uploads are not finished`,
    ...told.map((upload) => `  ${uploadText(upload, nowMs)}`),
    ...(pending.length > told.length ? [`  and ${pending.length - told.length} more`] : []),
    ...(findings?.map(findingText) ?? []),
    ...(findings?.length === 0 ? ['nothing is dangerous, and nothing is missing'] : []),
  ].join('\n');
}

function forPrograms({ name, rules, versioning, uploads, findings, nowMs }: Look): unknown {
  const upload = ({ key, uploadId, begunMs }: PendingUpload): unknown => ({
    ...{ key, uploadId, ageS: Math.floor((nowMs - begunMs) / 1000) },
  });
  return {
    ...{ target: name, versioning, rules },
    uploads: uploads.pending.map(upload),
    aborted: uploads.aborted.map(upload),
    ...(findings !== undefined && { findings }),
  };
}

/** @throws SprawlError USAGE */
function settingOf(invocation: Invocation, world: World): Run {
  const wishes = ruleWishes(invocation);
  const { expireDays } = wishes;
  const isDry = invocation.has('dry-run');
  if (expireDays !== undefined && !isDry && !invocation.has('yes'))
    throw usageError(
      invocation.command,
      `--expire-days ${expireDays} removes archived data for good, and "archive verify" will name what is gone as missing: say --yes as well if that is meant`,
    );
  return async (lifecycle) => {
    const before = await lifecycle.rules();
    const ids = ownRuleIds(lifecycle.prefix);
    const own = ownRules(lifecycle.prefix, wishes);
    const configuration = lifecycle.configuration(before, ids, own);
    if (isDry) {
      world.stdout.write(`${JSON.stringify(configuration, undefined, 2)}\n`);
      return ExitCode.done;
    }
    await lifecycle.put(configuration, before);
    const after = await lifecycle.rules();
    const isThere = expectOwn(after, own, lifecycle.name, world);
    const gone = before.rules.filter(({ id }) => ids.has(id) && !after.rules.some((rule) => rule.id === id));
    const state = { rules: after.rules, versioning: await lifecycle.versioning() };
    const abortsUploads = wishes.abortUploadsDays === 0;
    const findings = judgeBucket(state, areasOf(lifecycle.prefix), { abortsUploads });
    const set = after.rules.filter(({ id }) => ids.has(id));
    world.stdout.write(
      invocation.has('json')
        ? `${JSON.stringify({ target: lifecycle.name, set, gone, findings }, undefined, 2)}\n`
        : [
            `${lifecycle.name}: ${set.length} rules were set, ${after.rules.length - set.length} of others are as they were`,
            ...set.map((rule) => `  ${ruleText(rule)}`),
            ...gone.map((rule) => `  no more: ${ruleText(rule)}`),
            ...findings.map(findingText),
            '',
          ].join('\n'),
    );
    return isThere ? ExitCode.done : ExitCode.failed;
  };
}

/** Whether the bucket has what it was given: somebody else may have written rules at the same time. */
function expectOwn(after: RuleSet, own: readonly BucketRule[], name: string, { stderr }: World): boolean {
  const missing = own.filter(({ id }) => !after.rules.some((rule) => rule.id === id));
  for (const { id } of missing)
    stderr.write(
      `${name} does not have the rule ${id} that it was given; see "archive lifecycle", and set it again\n`,
    );
  return missing.length === 0;
}
