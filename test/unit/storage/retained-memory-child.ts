/** Fills a store with retained messages and prints what it says and what it takes: `node --expose-gc retained-memory-child.js <payload bytes> [mesh]`. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import { Message, NEVER } from '../../../lib/message/message.js';
import { RetainedIndex } from '../../../mesh/retained/index.js';
import { MemoryRetainedStore } from '../../../storage/memory/retained-store.js';
import { str } from '../../support/protocol-bytes.js';

const COUNT = 10_000;
const COLLECTIONS = 4;
/** What a socket is read into: a message that held it would take more than ten times what it may. */
const READ_BYTES = 8192;
const NO_BYTES = new Uint8Array(0);
const GATEWAY = gatewayIdOf(new Uint8Array(32));
const EPOCH = { counter: 1, nonce: '00112233' };

const payloadBytes = Number(process.argv[2]);
const store = new MemoryRetainedStore();
const index = process.argv[3] === 'mesh' ? new RetainedIndex() : undefined;

/** Buffers that a collection finds free are freed beside it: they are gone with a later one. */
async function heldBytes(): Promise<number> {
  for (let n = 0; n < COLLECTIONS; n++) {
    globalThis.gc?.();
    await nextTurn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Each topic twice: the second message takes the place of the first. */
function fill(): void {
  for (let n = 0; n < COUNT * 2; n++) {
    const sensor = n >> 1;
    const topic = Buffer.from(`site/plant/line${sensor % 50}/sensor${sensor}/temperature`).toString();
    const read = Buffer.allocUnsafeSlow(READ_BYTES);
    const at = [100, 100 + payloadBytes] as const;
    store.set(new Message(topic, str(topic), read, ...at, NO_BYTES, 1, true, NEVER, 'publisher'));
    index?.changed(topic, { counter: 1, origin: GATEWAY, epoch: EPOCH, sequence: n });
  }
}

const before = await heldBytes();
fill();
const held = (await heldBytes()) - before;
process.stdout.write(JSON.stringify({ count: store.count, counted: store.bytes, held }));
