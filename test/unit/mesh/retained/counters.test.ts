/** How far the counters of retained versions go: no member may say more than log and streams can have. */
import t from 'tap';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { nextRetainedCounter, RETAINED_COUNTER_MAX } from '../../../../lib/contracts/streams.js';
import { createMessage } from '../../../../lib/message/message.js';
import { encodeEntries, EntryReader } from '../../../../mesh/retained/entry-frames.js';
import { RetainedIndex, RetainedMerge } from '../../../../mesh/retained/index.js';
import { decodeControl, encodeLists, encodeState } from '../../../../mesh/retained/retained-frames.js';
import { bucketOf, hashTopic } from '../../../../mesh/retained/retained-index.js';
import { ByteReader, MalformedFrame } from '../../../../mesh/wire/bytes.js';
import {
  messageRecordBytes,
  viewMessageRecord,
  writeMessageRecord,
} from '../../../../storage/records/message-record.js';
import { TextCache } from '../../../../storage/records/text-cache.js';

const A = gatewayIdOf(new Uint8Array(32).fill(1));
const BEYOND = [RETAINED_COUNTER_MAX + 1, Number.MAX_SAFE_INTEGER];

const versionAt = (counter: number) => ({
  ...{ counter, origin: A, epoch: { counter: 1, nonce: '0123456789abcdef' }, sequence: 1 },
});

function messageAt(counter: number) {
  const topicBytes = Uint8Array.of(0, 1, 0x74);
  const message = createMessage({ topic: 't', topicBytes, payload: Buffer.from('x'), qos: 1, retain: true });
  message.retainedCounter = counter;
  return message;
}

/** Of a message, of a removal and of a message in pieces. */
function entryOf(counter: number, kind: 'message' | 'removal' | 'large'): number | undefined {
  const message = kind === 'removal' ? undefined : messageAt(counter);
  const large = createMessage({
    ...{ topic: 't', topicBytes: Uint8Array.of(0, 1, 0x74), payload: new Uint8Array(400_000) },
    ...{ qos: 1, retain: true },
  });
  const entry = { topic: 't', version: versionAt(counter), message: kind === 'large' ? large : message };
  const entries = new EntryReader();
  let read: number | undefined;
  for (const frame of encodeEntries([entry], () => 0)) {
    const reader = new ByteReader(frame);
    for (const { version } of entries.read(reader.u8(), reader)) read = version.counter;
  }
  return read;
}

function control(frame: Uint8Array | undefined) {
  const reader = new ByteReader(frame ?? new Uint8Array());
  return decodeControl(reader.u8(), reader);
}

function listed(counter: number) {
  const index = new RetainedIndex();
  index.changed('t', versionAt(counter));
  return control([...encodeLists(1, [bucketOf(hashTopic('t'))], index, A)][0]);
}

const stateOf = (floor: number) =>
  control(encodeState('equal', 1, { floor, head: 1, rosterVersion: 1, known: [], dropped: [] }));

t.test('a counter or floor beyond the greatest one is malformed, wherever it stands', (t) => {
  for (const kind of ['message', 'removal', 'large'] as const) {
    t.equal(entryOf(RETAINED_COUNTER_MAX, kind), RETAINED_COUNTER_MAX, kind);
    for (const counter of BEYOND) t.throws(() => entryOf(counter, kind), MalformedFrame, kind);
  }
  t.match(listed(RETAINED_COUNTER_MAX), { buckets: [{ entries: [{ counter: RETAINED_COUNTER_MAX }] }] });
  t.match(stateOf(RETAINED_COUNTER_MAX), { state: { floor: RETAINED_COUNTER_MAX } });
  for (const counter of BEYOND) {
    t.throws(() => listed(counter), MalformedFrame);
    t.throws(() => stateOf(counter), MalformedFrame);
  }
  t.end();
});

t.test('counters rise to the greatest one and stay there', (t) => {
  t.equal(nextRetainedCounter(0, 0), 1);
  t.equal(nextRetainedCounter(4, 2), 5);
  t.equal(nextRetainedCounter(2, 4), 5);
  t.equal(nextRetainedCounter(RETAINED_COUNTER_MAX - 1, 0), RETAINED_COUNTER_MAX);
  t.equal(nextRetainedCounter(RETAINED_COUNTER_MAX, 0), RETAINED_COUNTER_MAX);
  t.equal(nextRetainedCounter(0, RETAINED_COUNTER_MAX), RETAINED_COUNTER_MAX);
  const merge = new RetainedMerge(RETAINED_COUNTER_MAX);
  t.equal(merge.nextCounter(undefined), RETAINED_COUNTER_MAX);
  merge.forgot(versionAt(RETAINED_COUNTER_MAX));
  t.equal(merge.floor, RETAINED_COUNTER_MAX);
  t.end();
});

t.test('the log has the greatest counter as it is', (t) => {
  const message = messageAt(RETAINED_COUNTER_MAX);
  const publisher = Buffer.from('p');
  const record = Buffer.alloc(messageRecordBytes(message, publisher, 0));
  writeMessageRecord(record, 0, message, publisher, 0, 0);
  const { message: read } = viewMessageRecord(record, 0, record.length, new TextCache(10));
  t.equal(read.retainedCounter, RETAINED_COUNTER_MAX);
  t.end();
});
