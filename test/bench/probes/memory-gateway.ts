/** A gateway that says what it holds: `node --expose-gc memory-gateway.js up ...`, started with a channel, over which each message is a question. */
import { setTimeout as sleep } from 'node:timers/promises';
import { runProcess } from '../../../lib/cli/main.js';

const COLLECTIONS = 4;
const COLLECTION_PAUSE_MS = 20;

/** Some: what finalizers and weak references let go of is free only with the next one. */
async function collect(): Promise<void> {
  for (let n = 0; n < COLLECTIONS; n++) {
    globalThis.gc?.();
    await sleep(COLLECTION_PAUSE_MS);
  }
}

process.on('message', () => void collect().then(() => process.send?.(process.memoryUsage())));
await runProcess();
