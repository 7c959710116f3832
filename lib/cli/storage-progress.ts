import type { Writable } from 'node:stream';
import { realClock } from '../real-clock.js';
import type { Progress } from '../storage-tools.js';
import { size } from './size.js';

const EVERY_MS = 2000;

/** Tells on standard error how far a tool has come, where it takes long. */
export function progressLines(stderr: Writable): (progress: Progress) => void {
  let toldAt = realClock.now();
  return ({ doing, doneBytes, ofBytes }) => {
    const now = realClock.now();
    if (now - toldAt < EVERY_MS || ofBytes === 0) return;
    toldAt = now;
    const percent = Math.min(100, Math.floor((doneBytes / ofBytes) * 100));
    stderr.write(`${doing}: ${percent} % of ${size(ofBytes)}\n`);
  };
}
