import type { Writable } from 'node:stream';
import { realClock } from '../real-clock.js';

const EVERY_MS = 2000;

/** Tells on standard error how far a command has come, where it takes long: call it as often as you like. */
export function nowAndThen(stderr: Writable): (text: () => string) => void {
  let toldAt = realClock.now();
  return (text) => {
    const now = realClock.now();
    if (now - toldAt < EVERY_MS) return;
    toldAt = now;
    stderr.write(`${text()}\n`);
  };
}
