import { usageError } from './arguments.js';
import type { Invocation } from './command.js';

/** The values of an option that takes topic filters. @throws SprawlError USAGE where one is not `legal` */
export function topicFilters(
  invocation: Invocation,
  long: string,
  legal: (filter: string) => boolean,
): string[] {
  const filters = invocation.valuesOf(long);
  const wrong = filters.find((filter) => !legal(filter));
  if (wrong === undefined) return filters;
  throw usageError(
    invocation.command,
    `--${long} ${JSON.stringify(wrong)} is not a topic filter: + stands for one whole level, # for all at the end`,
  );
}
