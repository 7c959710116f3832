import type { Writable } from 'node:stream';
import type { Progress } from '../storage-tools.js';
import { nowAndThen } from './now-and-then.js';
import { size } from './size.js';

/** Tells on standard error how far a tool has come, where it takes long. */
export function progressLines(stderr: Writable): (progress: Progress) => void {
  const tell = nowAndThen(stderr);
  return ({ doing, doneBytes, ofBytes }) => {
    if (ofBytes === 0) return;
    tell(() => `${doing}: ${Math.min(100, Math.floor((doneBytes / ofBytes) * 100))} % of ${size(ofBytes)}`);
  };
}
