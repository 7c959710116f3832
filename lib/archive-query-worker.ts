/** What the thread of archive-query.ts runs: it reads on when it is asked to. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { archiveMessages, withArchive } from './archive-tools.js';
import type { Answer, QuestionData } from './archive-query.js';
import { SprawlError } from './contracts/errors.js';

const port = parentPort as MessagePort;
const { config, query } = workerData as QuestionData;
let more: () => void = () => undefined;
let asked = 0;
port.on('message', () => {
  asked++;
  more();
});

async function wanted(): Promise<void> {
  if (asked === 0) await new Promise<void>((resolve) => (more = resolve));
  asked--;
}

const tell = (answer: Answer): void => port.postMessage(answer);

withArchive(config, async (store) => {
  await wanted();
  // The thread ends with whoever asks.
  const { signal } = new AbortController();
  for await (const lines of archiveMessages(store, { ...query, signal })) {
    tell({ kind: 'lines', lines });
    await wanted();
  }
})
  .then(
    () => tell({ kind: 'end' }),
    (error: unknown) => {
      if (!(error instanceof SprawlError)) throw error;
      const { code, message, retryable } = error;
      tell({ kind: 'failed', code, message, retryable });
    },
  )
  // Nothing holds it any more.
  .finally(() => port.close());
