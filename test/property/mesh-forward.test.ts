import fc from 'fast-check';
import t from 'tap';
import { PendingTopics } from '../../mesh/forward/pending-topics.js';
import { StreamState } from '../../mesh/forward/stream-state.js';
import {
  decodeAck,
  decodeStreamFrame,
  encodeAck,
  FrameKind,
  readGreeting,
  type ReceiverGreeting,
  wireEpochOf,
  writeCoverHeader,
  writeGreeting,
} from '../../mesh/forward/frames.js';
import { MessageEncoder } from '../../mesh/forward/message-codec.js';
import { PassingReceiver } from '../../mesh/forward/passing.js';
import { StreamReceiver } from '../../mesh/forward/stream-receiver.js';
import { TextCache } from '../../mesh/forward/text-cache.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { LOG_POSITION_MAX } from '../../lib/contracts/store.js';
import { createMessage, type Message } from '../../lib/message/message.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../../mesh/wire/bytes.js';
import { EXPIRY_MAX_MS } from '../../mesh/wire/expiry.js';

const NONCE = '0123456789abcdef';
const EPOCH = { counter: 3, nonce: NONCE };
const ORIGIN = gatewayIdOf(new Uint8Array(32));
const NOW = 10_000;

const numbers = fc.maxSafeNat();
const logPositions = fc.integer({ min: 0, max: LOG_POSITION_MAX });
const payloads = fc.uint8Array({ maxLength: 200 });
const topics = fc.oneof(
  fc.constantFrom('a', 'a/b', 'größe/🌡'),
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((text) => !/[#+\0\ud800-\udfff]/u.test(text)),
);
const messages = fc.record({
  step: fc.integer({ min: 1, max: 100_000 }),
  topic: topics,
  payload: payloads,
  properties: fc.constantFrom(new Uint8Array(0), Uint8Array.of(1, 1), Uint8Array.of(3, 0, 1, 120)),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  retain: fc.boolean(),
  leftMs: fc.constantFrom(Infinity, 1, 5000, EXPIRY_MAX_MS),
  retainedCounter: fc.constantFrom(0, 1, 4_294_967_295),
  publisher: fc.constantFrom('', 'device', 'größe'),
});
type Fields = typeof messages extends fc.Arbitrary<infer F> ? F : never;

/** Of a batch: its messages have room behind it. */
const froms = fc.integer({ min: 0, max: LOG_POSITION_MAX - 3_000_000 });

function messageOf(fields: Fields, position: number): Message {
  const text = Buffer.from(fields.topic, 'utf8');
  const topicBytes = Uint8Array.of(text.length >> 8, text.length & 0xff, ...text);
  const message = createMessage({ ...fields, topicBytes, expiresAt: NOW + fields.leftMs });
  message.position = position;
  message.retainedCounter = fields.retainedCounter;
  return message;
}

function batchOf(list: readonly Fields[], from: number): { frame: Uint8Array; messages: Message[] } {
  const writer = new ByteWriter(16);
  const encoder = new MessageEncoder(writer);
  let to = from;
  const sent = list.map((fields) => messageOf(fields, (to += fields.step)));
  const header = { kind: FrameKind.main, version: 9, from, to, lostFrom: 0, lostTo: 0, done: false };
  writeCoverHeader(writer, { ...header, epoch: wireEpochOf(EPOCH) });
  encoder.begin();
  let before = from;
  for (const message of sent) {
    encoder.write(message, message.position - before, NOW);
    before = message.position;
  }
  return { frame: writer.finish(), messages: sent };
}

t.test('what a writer wrote a reader reads', async () => {
  fc.assert(
    fc.property(
      fc.array(numbers),
      fc.array(fc.string({ unit: 'grapheme' })),
      payloads,
      (list, texts, bytes) => {
        const writer = new ByteWriter(1);
        for (const number of list) writer.varint(number);
        for (const text of texts) writer.text(text);
        writer.bytes(bytes);
        const reader = new ByteReader(writer.finish());
        const isSame =
          list.every((number) => reader.varint() === number) &&
          texts.every((text) => reader.text(10_000) === text);
        return isSame && Buffer.compare(reader.bytes(1000), bytes) === 0 && reader.done;
      },
    ),
  );
});

t.test('messages of a batch arrive as they were sent', async (t) => {
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 30 }), froms, (list, from) => {
      const { frame, messages: sent } = batchOf(list, from);
      const batch = decodeStreamFrame(frame, 70_000, new TextCache(4));
      if (batch.kind !== FrameKind.main) return false;
      t.same([batch.epoch, batch.version, batch.from], [EPOCH, 9, from]);
      return (
        batch.messages.length === sent.length &&
        sent.every((message, index) => isCopy(message, batch.messages[index]))
      );
    }),
    { numRuns: 200 },
  );
});

function isCopy(sent: Message, got: Message | undefined): boolean {
  return (
    got?.topic === sent.topic &&
    Buffer.compare(got.topicBytes, sent.topicBytes) === 0 &&
    Buffer.compare(got.payload, sent.payload) === 0 &&
    Buffer.compare(got.properties, sent.properties) === 0 &&
    got.qos === sent.qos &&
    got.retain === sent.retain &&
    // Infinity stays what it is.
    got.expiresAt === sent.expiresAt + (70_000 - NOW) &&
    got.retainedCounter === sent.retainedCounter &&
    got.publisher === sent.publisher &&
    got.sequence === sent.position
  );
}

function receiver(taken: Message[]): StreamReceiver {
  let position = 0;
  return new StreamReceiver(ORIGIN, {
    send: () => undefined,
    now: () => NOW,
    hasRoom: () => true,
    append: (message) => {
      taken.push(message);
      return ++position;
    },
    record: () => ++position,
    reportHole: () => undefined,
  });
}

t.test(
  'a frame that is cut or changed anywhere never throws, and brings all of its messages or none',
  async (t) => {
    fc.assert(
      fc.property(
        fc.array(messages, { minLength: 1, maxLength: 5 }),
        fc.nat(),
        fc.nat({ max: 255 }),
        fc.boolean(),
        (list, at, byte, isCut) => {
          const { frame } = batchOf(list, 0);
          const changed = isCut ? frame.slice(0, at % frame.length) : frame.slice();
          if (!isCut) changed[at % frame.length] = byte;
          const taken: Message[] = [];
          const to = receiver(taken);
          to.greet();
          to.reset(0, EPOCH);
          to.greet();
          to.onFrame(beginOf());
          const refusal = to.onFrame(changed);
          t.ok(refusal === undefined || taken.length === 0, refusal ?? 'taken');
        },
      ),
      { numRuns: 500 },
    );
  },
);

function beginOf(): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(FrameKind.begin).varint(3).raw(wireEpochOf(EPOCH).nonceBytes);
  return writer.varint(0).varint(0).finish();
}

t.test('noise is refused by every decoder in the same way', async (t) => {
  const quiet = new PassingReceiver(
    { origin: ORIGIN, epoch: EPOCH },
    () => undefined,
    () => 0,
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
      const to = receiver([]);
      to.greet();
      to.onFrame(beginOf());
      for (const kind of [1, 2, 3, 4, 5, 6, 16]) to.onFrame(Uint8Array.of(kind, ...noise));
      quiet.onFrame(noise);
      for (const decode of [
        (): unknown => decodeAck(Uint8Array.of(16, ...noise)),
        (): unknown => readGreeting(new ByteReader(noise)),
        (): unknown => decodeStreamFrame(noise, 0, new TextCache(4)),
      ]) {
        try {
          decode();
        } catch (error) {
          if (!(error instanceof MalformedFrame)) t.fail(String(error));
        }
      }
    }),
    { numRuns: 1000 },
  );
});

t.test('greetings and acknowledgements arrive as they were sent', async (t) => {
  const positions = fc
    .uniqueArray(fc.integer({ min: 1, max: LOG_POSITION_MAX }))
    .map((list) => list.sort((a, b) => a - b));
  const backfills = fc.option(fc.record({ id: numbers, cursor: logPositions }), { nil: undefined });
  fc.assert(
    fc.property(
      positions,
      backfills,
      fc.option(logPositions, { nil: undefined }),
      numbers,
      (have, backfill, covered, bytes) => {
        const durable = Math.floor((covered ?? 0) / 2);
        const floor = Math.floor(durable / 2);
        const sent: ReceiverGreeting = {
          covered,
          durable,
          floor,
          have,
          backfill,
          creditBytes: bytes,
          wholeMaxBytes: 7,
        };
        const writer = new ByteWriter();
        writeGreeting(writer, sent);
        t.same(readGreeting(new ByteReader(writer.finish())), sent);
      },
    ),
  );
  const acks = fc.record({ covered: logPositions, creditBytes: numbers, express: numbers });
  fc.assert(
    fc.property(acks, (ack) => {
      const sent = { ...ack, floor: Math.floor(ack.covered / 3) };
      t.same(decodeAck(encodeAck(new ByteWriter(), sent)), sent);
    }),
  );
});

t.test('pending topics allow only what overtakes nothing of its topic', async () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('message' as const), topic: fc.nat(5) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('send' as const), topic: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), topic: fc.nat(5) }) },
    ),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 6 }), (list, maxCount) => {
      const pending = new PendingTopics(maxCount);
      /** Of each position: whether it went, ahead or in its turn. */
      const log: { topic: string; went: boolean }[] = [];
      let sent = 0;
      for (const { kind, topic } of list) {
        const name = `t${topic}`;
        if (kind === 'message') {
          const position = log.length + 1;
          const isFree = pending.isFree(name, sent);
          const overtakes = log.slice(sent).some((entry) => entry.topic === name && !entry.went);
          if (isFree && overtakes) return false;
          log.push({ topic: name, went: isFree });
          if (isFree) pending.sentAhead(name, position);
          else pending.add(name, position);
          if (pending.size > maxCount) return false;
        } else if (kind === 'send' && sent < log.length) {
          const entry = log[sent++];
          if (entry !== undefined) {
            entry.went = true;
            pending.passed(entry.topic, sent);
          }
        } else if (kind === 'lose') {
          pending.linkLost(sent);
          sent = Math.floor(sent / 2);
          for (const entry of log.slice(sent)) entry.went = false;
        }
      }
      return true;
    }),
    { numRuns: 500 },
  );
});

t.test('what a stream has is what came to it, and comes back from its image and its records', async (t) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('note' as const), by: fc.integer({ min: 1, max: 20 }) }),
      fc.record({ kind: fc.constant('cover' as const), by: fc.integer({ min: 0, max: 6 }) }),
      fc.record({ kind: fc.constant('grow' as const), by: fc.nat() }),
      fc.record({ kind: fc.constant('fill' as const), by: fc.integer({ min: 0, max: 4 }) }),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const state = new StreamState(ORIGIN);
      state.reset(10, EPOCH);
      const came = new Set<number>();
      for (const { kind, by } of list) {
        const { covered, backfill } = state;
        if (kind === 'note') {
          state.note(covered + by);
          came.add(covered + by);
        } else if (kind === 'cover') state.cover(covered + by, EPOCH);
        else if (kind === 'grow') state.moveBackfill(by, backfill?.cursor ?? covered, false);
        else if (backfill !== undefined) {
          const cursor = Math.min(backfill.cursor + by, covered);
          state.moveBackfill(backfill.id, cursor, cursor === covered);
        }
      }
      const cursor = state.backfill?.cursor ?? state.covered;
      for (let position = 1; position < state.covered + 30; position++)
        if (state.has(position) !== (position <= cursor || came.has(position))) return false;
      const image = state.image;
      if (image === undefined) return false;
      const other = new StreamState(ORIGIN);
      other.restore(image);
      t.same(other.image, image);
      return true;
    }),
    { numRuns: 300 },
  );
});
