import fc from 'fast-check';
import t from 'tap';
import { encodeConfig } from '../../../bridge/archive/archive-config.js';
import { noRows, packRows, rowsBetween, unpackRows } from '../../../bridge/archive/row-columns.js';
import {
  type CopyChunk,
  decodeChunk,
  decodeChunkHead,
  encodeChunk,
} from '../../../bridge/archive/standby/copy-chunk.js';
import {
  decodeCopyFrame,
  encodeCopyAck,
  encodeOffer,
  encodeParts,
  encodeWant,
  encodeWithheld,
} from '../../../bridge/archive/standby/copy-frames.js';
import { CopySender } from '../../../bridge/archive/standby/copy-sender.js';
import { decodeSaved, encodeSaved } from '../../../bridge/archive/standby/kept-note.js';
import { parseOffer } from '../../../bridge/archive/standby/offer.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import type { QoS } from '../../../lib/protocol/index.js';
import { ArchivingOrigin } from '../../support/archiving-origin.js';

interface Sample {
  readonly step: number;
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly payload: Uint8Array;
  readonly timeMs: number;
  readonly hasType: boolean;
}

const samples: fc.Arbitrary<Sample[]> = fc.array(
  fc.record({
    step: fc.integer({ min: 1, max: 9 }),
    topic: fc.constantFrom('a', 'site/ü', 'b/c'),
    qos: fc.constantFrom<QoS>(0, 1, 2),
    retain: fc.boolean(),
    payload: fc.uint8Array({ maxLength: 20 }),
    timeMs: fc.integer({ min: 0, max: 2 ** 41 }),
    hasType: fc.boolean(),
  }),
  { maxLength: 12 },
);

/** @returns one that begins behind position 10 */
function chunkOf(all: readonly Sample[]): CopyChunk {
  let position = 10;
  const messages = all.map(({ step, topic, qos, retain, payload, hasType }): Message => {
    const text = Buffer.from(topic);
    const message = createMessage({
      ...{ topic, topicBytes: Buffer.concat([Buffer.of(0, text.length), text]), payload, qos, retain },
      properties: hasType ? Uint8Array.of(1, 1) : new Uint8Array(0),
    });
    message.position = position += step;
    return message;
  });
  const indexes = messages.map((_, i) => i);
  const rows = packRows(messages, indexes, (i) => all[i]?.timeMs ?? 0);
  return { from: 10, to: position + 1, head: position + 5, lost: [[11, 11]], rows };
}

t.test('a chunk is as bytes what it is, and no other bytes are taken for one', (t) => {
  fc.assert(
    fc.property(samples, fc.nat(), (all, at) => {
      const chunk = chunkOf(all);
      const bytes = encodeChunk(chunk);
      const decoded = decodeChunk(bytes);
      if (decoded === undefined) throw new Error('it cannot be read');
      const { from, to, head, lost, rows } = decoded;
      t.same({ from, to, head, lost }, { from: 10, to: chunk.to, head: chunk.head, lost: [[11, 11]] });
      t.same(unpackRows(rows), unpackRows(chunk.rows));
      t.match(decodeChunkHead(bytes), { from, to, head });
      t.equal(decodeChunk(bytes.subarray(0, at % bytes.length)), undefined, 'cut off');
      t.equal(decodeChunk(Buffer.concat([bytes, Buffer.of(0)])), undefined, 'too long');
    }),
    { numRuns: 60 },
  );
  t.end();
});

t.test('rows that cannot be are no chunk', (t) => {
  const chunk = chunkOf([
    { step: 1, topic: 'a', qos: 1, retain: true, payload: Buffer.from('xy'), timeMs: 5, hasType: true },
    { step: 2, topic: 'b', qos: 0, retain: false, payload: Buffer.from('z'), timeMs: 6, hasType: false },
  ]);
  const { rows } = chunk;
  t.ok(decodeChunk(encodeChunk(chunk)));
  const wrong: readonly Partial<CopyChunk>[] = [
    { from: 11 },
    { to: 12 },
    { to: 10 },
    { lost: [[9, 11]] },
    { lost: [[11, 99]] },
    { rows: { ...rows, sequences: Float64Array.of(13, 11) } },
    { rows: { ...rows, times: Float64Array.of(NaN, 1) } },
    { rows: { ...rows, topicOf: Uint32Array.of(0, 2) } },
    { rows: { ...rows, flags: Uint8Array.of(3, 0) } },
    { rows: { ...rows, flags: Uint8Array.of(8, 0) } },
    { rows: { ...rows, ends: Uint32Array.of(3, 2) } },
    { rows: { ...rows, count: 3 } },
  ];
  for (const change of wrong) t.equal(decodeChunk(encodeChunk({ ...chunk, ...change })), undefined);
  t.end();
});

t.test('rows between two positions are those, with what belongs to them', (t) => {
  fc.assert(
    fc.property(
      samples,
      fc.integer({ min: 0, max: 130 }),
      fc.integer({ min: 0, max: 130 }),
      (all, after, upTo) => {
        const { rows } = chunkOf(all);
        const expected = unpackRows(rows).filter(({ sequence }) => sequence > after && sequence <= upTo);
        t.same(unpackRows(rowsBetween(rows, after, upTo)), expected);
      },
    ),
    { numRuns: 60 },
  );
  t.end();
});

t.test('each frame is read as it was written, and nothing else is one', (t) => {
  const origin = new ArchivingOrigin();
  origin.tip = { number: 3, hash: 'a'.repeat(64) };
  t.same(decodeCopyFrame(encodeOffer(origin.offer)), { kind: 'offer', offer: origin.offer });
  t.same(decodeCopyFrame(encodeWant(3, 9)), { kind: 'want', after: 3, maxBytes: 9 });
  t.same(decodeCopyFrame(encodeCopyAck(7)), { kind: 'ack', upTo: 7 });
  t.same(decodeCopyFrame(encodeWithheld('a\u001b[2J')), { kind: 'withheld', reason: 'a [2J' });
  t.same(decodeCopyFrame(encodeWithheld('x'.repeat(999))), { kind: 'withheld', reason: 'x'.repeat(300) });
  const parts = [...encodeParts(Buffer.alloc(600_000, 1))].map(decodeCopyFrame);
  t.same(
    parts.map((part) => part?.kind === 'part' && [part.bytes.length, part.isLast]),
    [
      [262_144, false],
      [262_144, false],
      [75_712, true],
    ],
  );
  for (const text of [
    '',
    '\u0001',
    '\u0001{}',
    '\u0002{}',
    '\u0003{"after":-1}',
    '\u0006{}',
    '\u0009{}',
    '\u0003[]',
  ])
    t.equal(decodeCopyFrame(Buffer.from(text)), undefined);
  t.end();
});

t.test('what is no offer is not taken for one', (t) => {
  const { offer } = new ArchivingOrigin();
  const told = decodeCopyFrame(encodeOffer(offer));
  t.ok(told);
  const fields = JSON.parse(Buffer.from(encodeOffer(offer).subarray(1)).toString()) as Readonly<
    Record<string, unknown>
  >;
  t.same(parseOffer(fields), offer);
  const life = [1, '0'.repeat(16), 0];
  const wrong: readonly Readonly<Record<string, unknown>>[] = [
    ...[
      { lineage: [] },
      { lineage: [life, life] },
      { lineage: [[1, 'x', 0]] },
      { lineage: [3] },
      { lineage: 3 },
    ],
    ...[{ lineage: Array.from({ length: 65 }, (_, i) => [i + 1, '0'.repeat(16), 0]) }],
    ...[{ begin: 0 }, { begin: 5 }, { done: -1 }, { target: 1 }, { config: '{}' }, { config: 1 }],
    ...[{ config: Buffer.from(encodeConfig({ ...offer.config, site: 'a\nb' })).toString() }],
    ...[{ tip: [1, 'x'] }, { tip: 3 }, { tip: [0, 'a'.repeat(64)] }],
  ];
  for (const change of wrong)
    t.equal(parseOffer({ ...fields, ...change }), undefined, JSON.stringify(change));
  t.equal(parseOffer(3), undefined);
  t.end();
});

t.test('what is remembered of copies is found again, and what is not that is nothing', (t) => {
  const { offer } = new ArchivingOrigin();
  const state = {
    run: 1,
    offer,
    after: 2,
    upTo: 9,
    head: 11,
    marks: [[2, 30]] as const,
    bytes: 5,
    scanned: 40,
  };
  for (const finish of [undefined, { tellsRest: true }, { tellsRest: false }])
    t.same(decodeSaved(encodeSaved({ state, finish })), { state, finish });
  for (const text of ['', '3', '{}', '{"marks":[[1]]}']) t.equal(decodeSaved(Buffer.from(text)), undefined);
  const fields = JSON.parse(Buffer.from(encodeSaved({ state, finish: undefined })).toString()) as object;
  for (const change of [{ run: -1 }, { upTo: 'x' }, { marks: [3] }, { bytes: null }, { offer: 1 }])
    t.equal(decodeSaved(Buffer.from(JSON.stringify({ ...fields, ...change }))), undefined);
  t.equal(decodeSaved(undefined), undefined);
  t.end();
});

t.test('copies are sent no faster than the line is to be used, and small ones are gathered', async (t) => {
  const origin = new ArchivingOrigin();
  for (const bytesPerSecond of [0, 100]) {
    const sent: Uint8Array[] = [];
    let nowMs = 0;
    const sender = new CopySender(
      {
        now: () => nowMs,
        send: (frame) => void sent.push(frame),
        head: () => origin.committed,
        read: (after) => origin.read(after),
      },
      { bytesPerSecond },
    );
    const tick = async (ms: number): Promise<number> => {
      nowMs += ms;
      sender.tick();
      await new Promise((resolve) => setImmediate(resolve));
      return sent.length;
    };
    origin.append(true);
    t.equal(await tick(0), 0, 'nobody wants it');
    sender.wanted(0, 1e6);
    t.equal(await tick(0), 1);
    origin.append(true);
    t.equal(await tick(5000), 1, 'the one before is not acknowledged');
    sender.acknowledged(99);
    t.equal(await tick(0), 1, 'that is no answer to it');
    nowMs = 0;
    sender.acknowledged(origin.committed - 1);
    t.equal(await tick(999), 1, 'it waits for more');
    t.equal(await tick(1), bytesPerSecond === 0 ? 2 : 1);
    t.equal(await tick(5000), 2);
    sender.halt();
    sender.acknowledged(origin.committed);
    origin.append(true);
    t.equal(await tick(5000), 2);
    origin.log.length = 0;
  }
  t.equal(noRows().count, 0);
});

t.test(
  'a log that cannot be read, or a message that is too large, ends the copies with a reason',
  async (t) => {
    const origin = new ArchivingOrigin();
    origin.log.push('x'.repeat(500));
    for (const [read, reason] of [
      [
        (after: number) => origin.read(after),
        /takes \d+ bytes, and the standby takes 100: raise mqtt\.packetMaxBytes/,
      ],
      [() => Promise.reject(new Error('EIO')), /its log cannot be read: Error: EIO/],
    ] as const) {
      const sent: Uint8Array[] = [];
      const sender = new CopySender(
        { now: () => 0, send: (frame) => void sent.push(frame), head: () => origin.committed, read },
        { bytesPerSecond: 0 },
      );
      sender.wanted(0, 100);
      await new Promise((resolve) => setImmediate(resolve));
      t.equal(sent.length, 1);
      t.match(sent[0] && decodeCopyFrame(sent[0]), { kind: 'withheld', reason });
    }
  },
);
