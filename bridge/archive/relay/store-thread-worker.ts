/** What the thread of store-thread.ts runs. */
import { randomBytes } from 'node:crypto';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type OpenTarget, openTarget } from '../target.js';
import { stepBack } from '../thread-priority.js';
import { type AskStore, faultAnswerOf } from './object-request.js';
import { servedStore } from './served-store.js';
import { StoreAnswerer } from './store-calls.js';
import type { StoreThreadSettings, ToStoreThread } from './store-thread-protocol.js';

const port = parentPort as MessagePort;
const { target } = workerData as StoreThreadSettings;
let opening: Promise<{ readonly open: OpenTarget; readonly ask: AskStore }> | undefined;

async function openStore(): Promise<{ readonly open: OpenTarget; readonly ask: AskStore }> {
  const open = await openTarget(target);
  return { open, ask: servedStore(open.objects, randomBytes) };
}

const answerer = new StoreAnswerer(
  (call) => port.postMessage(call),
  async (request, read) => {
    opening ??= openStore();
    const opened = await opening.catch(faultAnswerOf);
    return 'kind' in opened ? opened : opened.ask(request, read);
  },
);

stepBack();
port.on('message', (call: ToStoreThread) => {
  if (call.call !== 'stop') answerer.told(call);
  else {
    answerer.end('the gateway stops');
    void opening?.then(
      ({ open }) => open.close(),
      () => undefined,
    );
    port.close();
  }
});
