import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

const NICE = 10;
const PATIENCE_MS = 2000;

/**
 * Of the thread that calls it: the processor is for clients first. On Linux it gets what nobody else wants (SCHED_IDLE), since a thread that is only
 * nicer ends its turn before a client has its own; Node.js has no call for that, `chrt` of util-linux has. Without it the thread is nicer; elsewhere all
 * stays as it is.
 */
export function stepBack(): void {
  try {
    const thread = basename(readlinkSync('/proc/thread-self'));
    const { status } = spawnSync('chrt', ['-i', '-p', '0', thread], {
      stdio: 'ignore',
      timeout: PATIENCE_MS,
    });
    if (status !== 0) setPriority(Number(thread), NICE);
  } catch {
    // It is a wish.
  }
}
