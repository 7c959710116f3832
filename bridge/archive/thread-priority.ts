import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

const NICE = 10;

/** Of the thread that calls it: the processor is for clients first. Linux has priorities of single threads, which Node.js does not tell; elsewhere all stays as it is. */
export function stepBack(): void {
  try {
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), NICE);
  } catch {
    // It is a wish.
  }
}
