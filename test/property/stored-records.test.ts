import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { OWED_FLAG, type SessionRecord } from '../../lib/contracts/store.js';
import { createMessage, NEVER } from '../../lib/message/message.js';
import {
  messageRecordBytes,
  plainRecordHead,
  PublisherNames,
  readMessageRecord,
  writeMessageRecord,
  writePlainRecord,
} from '../../storage/records/message-record.js';
import { TextCache } from '../../storage/records/text-cache.js';
import { RecordType } from '../../storage/records/record-type.js';
import {
  encodeRareStep,
  isFrequentStep,
  frequentStepBytes,
  parseSessionRecord,
  recordTypeOf,
  writeFrequentStep,
} from '../../storage/records/session-record.js';

const POSITION_MAX = 2 ** 48 - 1;
const position = fc.integer({ min: 1, max: POSITION_MAX });
const packetId = fc.integer({ min: 1, max: 65_535 });
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
/** So small that texts take each other's place. */
const texts = new TextCache(2);
const text = fc.string({ unit: 'grapheme', maxLength: 40 });

function topicBytesOf(topic: string): Uint8Array {
  const utf8 = Buffer.from(topic, 'utf8');
  return Buffer.concat([Buffer.from([utf8.length >> 8, utf8.length & 0xff]), utf8]);
}

t.test(
  'names of publishers are their UTF-8, in memory of their own, and no more of them than allowed',
  async (t) => {
    const names = new PublisherNames(4);
    const first = names.bytesOf('first');
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), (ids) => {
        for (const id of ids) {
          const bytes = names.bytesOf(id);
          assert.deepEqual(Buffer.from(bytes), Buffer.from(id, 'utf8'));
          assert.equal(bytes.buffer.byteLength, bytes.length);
          assert.equal(names.bytesOf(id), bytes, 'the same again');
        }
      }),
    );
    t.not(names.bytesOf('first'), first, 'of many the first is forgotten');
  },
);

t.test('a message comes back from its record as it was', async (t) => {
  const names = new PublisherNames(3);
  fc.assert(
    fc.property(
      fc.record({
        topic: text,
        payload: fc.uint8Array({ maxLength: 200 }),
        properties: fc.uint8Array({ maxLength: 30 }),
        qos,
        retain: fc.boolean(),
        expiresAt: fc.oneof(fc.constant(NEVER), fc.integer({ min: 0, max: POSITION_MAX })),
        publisher: text,
      }),
      fc.integer({ min: 0, max: POSITION_MAX }),
      fc.oneof(fc.constant(0), packetId),
      fc.nat(20),
      fc.record({
        sourceNumber: fc.oneof(fc.constant(0), position),
        sequence: position,
        counter: fc.nat(),
        fromBridge: fc.boolean(),
        aheadOfStream: fc.boolean(),
        mayBeRemoved: fc.boolean(),
      }),
      (
        fields,
        wallMs,
        id,
        offset,
        { sourceNumber, sequence, counter, fromBridge, aheadOfStream, mayBeRemoved },
      ) => {
        const message = createMessage({ ...fields, topicBytes: topicBytesOf(fields.topic) });
        if (sourceNumber !== 0) {
          message.source = { origin: gatewayIdOf(new Uint8Array(32)), epoch: { counter: 1, nonce: '' } };
          message.sequence = sequence;
          message.aheadOfStream = aheadOfStream;
          message.mayBeRemoved = mayBeRemoved;
        }
        message.retainedCounter = counter;
        message.fromBridge = fromBridge;
        const publisher = names.bytesOf(fields.publisher);
        const size = messageRecordBytes(message, publisher, id);
        const out = Buffer.alloc(offset + size + 10, 0xaa);
        writeMessageRecord(out, offset, message, publisher, id, wallMs, false, sourceNumber);
        if (!out.subarray(offset + size).every((byte) => byte === 0xaa)) return false;
        const stored = readMessageRecord(out, offset, offset + size, texts);
        const { message: back } = stored;
        return (
          stored.wallMs === wallMs &&
          stored.packetId === id &&
          stored.sourceNumber === sourceNumber &&
          back.sequence === message.sequence &&
          back.retainedCounter === counter &&
          back.fromBridge === fromBridge &&
          back.aheadOfStream === message.aheadOfStream &&
          back.mayBeRemoved === message.mayBeRemoved &&
          back.topic === message.topic &&
          Buffer.compare(back.topicBytes, message.topicBytes) === 0 &&
          Buffer.compare(back.payload, message.payload) === 0 &&
          Buffer.compare(back.properties, message.properties) === 0 &&
          back.qos === message.qos &&
          back.retain === message.retain &&
          back.expiresAt === message.expiresAt &&
          back.publisher === message.publisher
        );
      },
    ),
  );
  t.pass();
});

const clientIdOf = (session: number): string | undefined =>
  session === 77 ? undefined : `client ${session}`;

t.test('the record of a plain message of QoS 0 is the one that every message has', async (t) => {
  fc.assert(
    fc.property(
      text,
      text,
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 0, max: POSITION_MAX }),
      fc.nat(20),
      (topic, publisher, payload, wallMs, offset) => {
        const topicBytes = topicBytesOf(topic);
        const message = createMessage({ topic, topicBytes, payload, qos: 0, retain: false });
        const name = Buffer.from(publisher, 'utf8');
        const size = messageRecordBytes(message, name, 0);
        const whole = Buffer.alloc(offset + size + 10, 0xaa);
        writeMessageRecord(whole, offset, message, name, 0, wallMs);
        const plain = Buffer.alloc(offset + size + 10, 0xaa);
        const frame = Buffer.concat([Buffer.alloc(3), payload, Buffer.alloc(3)]);
        const head = plainRecordHead(topicBytes, name, wallMs);
        writePlainRecord(plain, offset, head, frame, 3, 3 + payload.length);
        return plain.equals(whole);
      },
    ),
  );
  t.pass();
});

t.test('the frequent steps come back', async (t) => {
  const identifiers = fc.option(
    fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 4 }),
    {
      nil: undefined,
    },
  );
  const topics = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(
      position,
      packetId,
      position,
      fc.nat(15),
      identifiers,
      topics,
      (session, id, of, flags, ids, topic) => {
        const clientId = `client ${session}`;
        const records: SessionRecord[] = [
          { kind: 'released', clientId, packetId: id },
          { kind: 'pubrec', clientId, packetId: id },
          { kind: 'delivered', clientId, packetId: id, position: of, topic },
          { kind: 'givenUp', clientId, packetId: id, position: of, topic: undefined },
          {
            ...{ kind: 'sent', clientId, packetId: id, position: of, flags, identifiers: ids },
            topic: (flags & OWED_FLAG) === 0 ? undefined : topic,
          },
          { kind: 'assigned', clientId, filter: `$share/g/${topic}`, position: of },
        ];
        return records.every((record) => {
          if (!isFrequentStep(record)) return false;
          const size = frequentStepBytes(record);
          const out = Buffer.alloc(size + 9, 0xaa);
          writeFrequentStep(out, 3, session, record);
          if (!out.subarray(3 + size).every((byte) => byte === 0xaa)) return false;
          return same(parseSessionRecord(recordTypeOf(record), out, 3, 3 + size, clientIdOf, texts), record);
        });
      },
    ),
  );
  t.pass();
});

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

t.test('the rare steps come back', async (t) => {
  const will = {
    topic: 'gone/ü',
    payload: Buffer.from([0, 255, 7]),
    qos: 1 as const,
    retain: true,
    properties: {
      willDelayInterval: 5,
      correlationData: new Uint8Array([1, 2]),
      userProperties: [['a', 'b'] as [string, string]],
    },
  };
  const options = {
    qos: 2 as const,
    noLocal: true,
    retainAsPublished: false,
    retainHandling: 1 as const,
    identifier: 9,
  };
  const clientId = 'client 3';
  const records: SessionRecord[] = [
    { kind: 'created', clientId: 'pump-7', username: 'anna', expiryS: 60, will },
    { kind: 'created', clientId: 'pump-7', username: undefined, expiryS: 60, will: undefined },
    { kind: 'connected', clientId, expiryS: 1, will },
    { kind: 'disconnected', clientId, expiryS: 0xffffffff, willPending: true, at: 4.5 },
    { kind: 'willPublished', clientId },
    { kind: 'ended', clientId },
    { kind: 'subscribed', clientId, subscriptions: [{ filter: '$share/g/a/+', options }] },
    { kind: 'unsubscribed', clientId, filters: ['a', 'b/#'] },
    { kind: 'dropped', clientId, from: 12, to: 14 },
  ];
  for (const record of records) {
    if (isFrequentStep(record)) throw new Error('not a rare one');
    const bytes = encodeRareStep(record, 3);
    const padded = Buffer.concat([Buffer.from('xx'), bytes, Buffer.from('yy')]);
    const back = parseSessionRecord(recordTypeOf(record), padded, 2, 2 + bytes.length, clientIdOf);
    t.match(back, record, record.kind);
  }
  t.equal(parseSessionRecord(RecordType.message, Buffer.alloc(10), 0, 10, clientIdOf), undefined);
  const ended = encodeRareStep({ kind: 'ended', clientId: 'gone' }, 77);
  t.equal(parseSessionRecord(RecordType.ended, ended, 0, ended.length, clientIdOf), undefined);
  const nobody = Buffer.alloc(22);
  writeFrequentStep(nobody, 0, 0, { kind: 'assigned', clientId: '', filter: '$share/g/a', position: 1 });
  t.match(parseSessionRecord(RecordType.assigned, nobody, 0, nobody.length, clientIdOf), { clientId: '' });
});
