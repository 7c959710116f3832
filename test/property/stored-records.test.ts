import fc from 'fast-check';
import t from 'tap';
import { createMessage, NEVER } from '../../lib/message/message.js';
import {
  messageRecordBytes,
  PublisherNames,
  readMessageRecord,
  writeMessageRecord,
} from '../../storage/records/message-record.js';
import { RecordType } from '../../storage/records/record-type.js';
import {
  encodeRareStep,
  MESSAGE_STEP_BYTES,
  PACKET_STEP_BYTES,
  parseSessionStep,
  type RareStep,
  writePacketStep,
} from '../../storage/records/session-record.js';

const POSITION_MAX = 2 ** 48 - 1;
const position = fc.integer({ min: 1, max: POSITION_MAX });
const packetId = fc.integer({ min: 1, max: 65_535 });
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const text = fc.string({ unit: 'grapheme', maxLength: 40 });

function topicBytesOf(topic: string): Uint8Array {
  const utf8 = Buffer.from(topic, 'utf8');
  return Buffer.concat([Buffer.from([utf8.length >> 8, utf8.length & 0xff]), utf8]);
}

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
      (fields, wallMs, id, offset) => {
        const message = createMessage({ ...fields, topicBytes: topicBytesOf(fields.topic) });
        const publisher = names.bytesOf(fields.publisher);
        const size = messageRecordBytes(message, publisher, id);
        const out = Buffer.alloc(offset + size + 10, 0xaa);
        writeMessageRecord(out, offset, message, publisher, id, wallMs);
        if (!out.subarray(offset + size).every((byte) => byte === 0xaa)) return false;
        const stored = readMessageRecord(out, offset, offset + size);
        const { message: back } = stored;
        return (
          stored.wallMs === wallMs &&
          stored.packetId === id &&
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

t.test('steps of packet ids come back', async (t) => {
  fc.assert(
    fc.property(position, packetId, position, (session, id, of) => {
      const out = Buffer.alloc(MESSAGE_STEP_BYTES);
      writePacketStep(out, 0, session, id, of);
      for (const type of [RecordType.released, RecordType.pubrec])
        if (!same(parseSessionStep(type, out, 0, PACKET_STEP_BYTES), { type, session, packetId: id }))
          return false;
      for (const type of [RecordType.sent, RecordType.delivered])
        if (!same(parseSessionStep(type, out, 0, out.length), { type, session, packetId: id, position: of }))
          return false;
      return true;
    }),
  );
  t.pass();
});

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

t.test('created, connected, disconnected, ended, subscribed and unsubscribed come back', async (t) => {
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
  const steps: RareStep[] = [
    { type: RecordType.created, clientId: 'pump-7', username: 'anna', expiryS: 60, will, atMs: 12.5 },
    {
      type: RecordType.created,
      clientId: 'pump-7',
      username: undefined,
      expiryS: 60,
      will: undefined,
      atMs: 0,
    },
    { type: RecordType.connected, session: POSITION_MAX, expiryS: 1, will, atMs: 4 },
    { type: RecordType.disconnected, session: 3, expiryS: 0xffffffff, willPending: true, atMs: 4 },
    { type: RecordType.ended, session: 3 },
    { type: RecordType.subscribed, session: 3, subscriptions: [{ filter: '$share/g/a/+', options }] },
    { type: RecordType.unsubscribed, session: 3, filters: ['a', 'b/#'] },
  ];
  for (const step of steps) {
    const bytes = encodeRareStep(step);
    const padded = Buffer.concat([Buffer.from('xx'), bytes, Buffer.from('yy')]);
    t.match(parseSessionStep(step.type, padded, 2, 2 + bytes.length), step, String(step.type));
  }
  t.equal(parseSessionStep(RecordType.message, Buffer.alloc(10), 0, 10), undefined);
});
