import type { Selection } from '../archive-tools.js';
import { isValidTopicFilter } from '../protocol/topic.js';
import { realClock } from '../real-clock.js';
import { parseTimeText, TIME_FORMS } from '../time-text.js';
import { usageError } from './arguments.js';
import type { Invocation } from './command.js';
import { topicFilters } from './topic-filters.js';

const ID_START = /^[0-9a-f]{1,64}$/;

/** What -t, --from, --to and --origin ask for. @throws SprawlError USAGE */
export function archiveSelection(invocation: Invocation): Selection {
  const nowMs = realClock.wall();
  const fromMs = timeOption(invocation, 'from', nowMs) ?? -Infinity;
  const toMs = timeOption(invocation, 'to', nowMs) ?? Infinity;
  if (fromMs >= toMs) throw usageError(invocation.command, '--from is not before --to: no message can be');
  return {
    ...{ fromMs, toMs, origins: originPrefixes(invocation) },
    filters: topicFilters(invocation, 'topic', isValidTopicFilter),
  };
}

export function originPrefixes(invocation: Invocation): readonly string[] {
  const ids = invocation.valuesOf('origin').map((text) => text.toLowerCase());
  const wrong = ids.find((text) => !ID_START.test(text));
  if (wrong === undefined) return ids;
  throw usageError(
    invocation.command,
    `--origin ${JSON.stringify(wrong)} does not begin an id of a gateway: up to 64 hexadecimal digits`,
  );
}

function timeOption(invocation: Invocation, long: string, nowMs: number): number | undefined {
  const text = invocation.value(long);
  if (text === undefined) return undefined;
  const timeMs = parseTimeText(text, nowMs);
  if (timeMs !== undefined) return timeMs;
  throw usageError(invocation.command, `--${long} must be ${TIME_FORMS}; not ${JSON.stringify(text)}`);
}
