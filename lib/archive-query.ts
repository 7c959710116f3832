/** Archived messages for a gateway that serves clients meanwhile: a thread of its own reads them, one for each who asks. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { MessageQuery } from './archive-tools.js';
import type { Config } from './config/index.js';
import { type ErrorCode, SprawlError } from './contracts/errors.js';

export interface QuestionData {
  readonly config: Pick<Config, 'archive'>;
  readonly query: Omit<MessageQuery, 'signal'>;
}

export type Answer =
  | { readonly kind: 'lines'; readonly lines: Uint8Array }
  | { readonly kind: 'end' }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly retryable: boolean;
    };

const WORKER = new URL('./archive-query-worker.js', import.meta.url);
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 };

/** Messages as lines of JSON, some at a time, as they are asked for. @throws SprawlError ARCHIVE_…; the reason of the signal */
export async function* queryArchive(
  { archive }: Config,
  { signal, ...query }: MessageQuery,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const workerData: QuestionData = { config: { archive }, query };
  const worker = new Worker(WORKER, { workerData, execArgv: [], resourceLimits: RESOURCE_LIMITS });
  let isOver = false;
  // It may also run out of memory while nobody waits for it, as while it is being ended.
  let fault: Error | undefined;
  worker.on('error', (error) => (fault = error));
  try {
    for (;;) {
      if (fault !== undefined) throw fault;
      const answered = once(worker, 'message', { signal }) as Promise<[Answer]>;
      worker.postMessage('more');
      const [answer] = await answered;
      isOver = answer.kind !== 'lines';
      if (answer.kind === 'end') return;
      if (answer.kind === 'failed') {
        const { code, message, retryable } = answer;
        throw new SprawlError(code, message, { retryable });
      }
      yield answer.lines;
    }
  } finally {
    // One that has nothing more to say ends by itself.
    if (!isOver) await worker.terminate();
  }
}
