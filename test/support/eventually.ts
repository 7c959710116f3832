import { setTimeout as delay } from 'node:timers/promises';

/** Looks again and again: for what no event tells of. It waits as long as the test may take. */
export async function eventually(condition: () => boolean): Promise<void> {
  // eslint-disable-next-line no-await-in-loop
  while (!condition()) await delay(5);
}
