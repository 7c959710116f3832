import fc from 'fast-check';
import t from 'tap';
import { EPOCH_COUNTER_MAX } from '../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import {
  type Body,
  compareClaims,
  decodeMessage,
  encodeMessage,
  encodeRecord,
  MEMBER_STATUSES,
  type MemberRecord,
} from '../../mesh/membership/index.js';
import { MemberTable } from '../../mesh/membership/member-table.js';
import { MalformedFrame } from '../../mesh/wire/bytes.js';
import { Rig } from '../unit/mesh/membership/rig.js';

const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((key) => gatewayIdOf(key));
const text = (maxLength: number): fc.Arbitrary<string> => fc.string({ maxLength, unit: 'grapheme-ascii' });
const status = fc.constantFrom(...MEMBER_STATUSES);
const incarnation = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const metadata = fc.record({
  version: fc.nat(),
  site: text(64),
  addresses: fc.array(text(128), { maxLength: 8 }),
  software: text(64),
  load: fc.integer({ min: 0, max: 255 }).map((byte) => byte / 255),
  health: fc.array(text(64), { maxLength: 8 }),
});
const nonce = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));
const counter = fc.integer({ min: 0, max: EPOCH_COUNTER_MAX });
const record: fc.Arbitrary<MemberRecord> = fc.record({
  id,
  epoch: fc.record({ counter, nonce }),
  incarnation,
  status,
  accuser: fc.option(id, { nil: undefined }),
  evidence: fc.constantFrom('silent', 'closed'),
  metadata: fc.option(metadata, { nil: undefined }),
});
const entry = fc.record({ id, counter, incarnation, status, metadataVersion: fc.nat() });
const body: fc.Arbitrary<Body> = fc.oneof(
  fc.record({ kind: fc.constant('ping' as const), sequence: u32, target: id, view: u32 }),
  fc.record({ kind: fc.constant('ack' as const), sequence: u32, view: u32 }),
  fc.record({ kind: fc.constant('nack' as const), sequence: u32 }),
  fc.record({ kind: fc.constant('pingFor' as const), sequence: u32, target: id }),
  fc.record({ kind: fc.constant('push' as const) }),
  fc.record({ kind: fc.constant('view' as const), view: u32 }),
  fc.record({ kind: fc.constant('digest' as const), entries: fc.array(entry, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('want' as const), ids: fc.array(id, { maxLength: 5 }) }),
);

function read(bytes: Uint8Array): void {
  try {
    decodeMessage(bytes);
  } catch (error) {
    if (!(error instanceof MalformedFrame)) throw error;
  }
}

t.test('what is written is read', (t) => {
  fc.assert(
    fc.property(body, fc.array(record, { maxLength: 4 }), (body, records) => {
      t.same(decodeMessage(encodeMessage(body, records.map(encodeRecord))), { body, records });
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('noise, and messages that are cut or changed, are read or are malformed, and nothing else', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), read), { numRuns: 2000 });
  const noise = fc.record({
    body,
    records: fc.array(record, { maxLength: 3 }),
    at: fc.nat(),
    byte: fc.nat(255),
  });
  fc.assert(
    fc.property(noise, ({ body, records, at, byte }) => {
      const bytes = encodeMessage(body, records.map(encodeRecord));
      read(bytes.subarray(0, at % bytes.length));
      bytes[at % bytes.length] = byte;
      read(bytes);
    }),
    { numRuns: 1000 },
  );
  t.end();
});

t.test('a gateway survives whatever a member sends, within its bounds', (t) => {
  const input = fc.record({
    from: id,
    body,
    records: fc.array(record, { maxLength: 4 }),
    isFrame: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(input, { maxLength: 30 }), (inputs) => {
      const rig = new Rig({ membersMaxCount: 8 });
      for (const { from, body, records, isFrame } of inputs) {
        rig.core.linkUp(from);
        const bytes = encodeMessage(body, records.map(encodeRecord));
        if (isFrame) rig.core.onFrame(from, bytes);
        else rig.core.onDatagram(from, bytes);
        rig.run(50);
        if ([...rig.core.members()].length > 8) throw new Error('too many');
      }
      rig.run(10_000);
      if (rig.core.self.status !== 'alive') throw new Error('not alive');
    }),
    { numRuns: 100 },
  );
  t.pass('it did');
  t.end();
});

t.test('in whatever order news comes, and however often, the end is the same', (t) => {
  const subject = gatewayIdOf(new Uint8Array(32).fill(7));
  const small = fc.record({
    counter: fc.integer({ min: 1, max: 3 }),
    incarnation: fc.integer({ min: 0, max: 3 }),
    status,
    version: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(
      fc.array(small, { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      (claims, chance) => {
        const records = claims.map(({ counter, incarnation, status, version }): MemberRecord => ({
          id: subject,
          epoch: { counter, nonce: `000000000000000${counter}` },
          incarnation,
          status,
          accuser: undefined,
          evidence: 'silent',
          metadata: { version, site: `${counter}`, addresses: [], software: '', load: 0, health: [] },
        }));
        // It is known: what is dead and never was known is not taken in.
        const start: MemberRecord = {
          ...(records[0] as MemberRecord),
          epoch: { counter: 0, nonce: '0000000000000000' },
          status: 'alive',
          incarnation: 0,
        };
        const shuffled = [...records, ...records]
          .map((each) => ({ each, key: chance.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ each }) => each);
        const views = [records, shuffled].map((order) => {
          const table = new MemberTable(10, 10);
          for (const each of [start, ...order]) table.apply(each, 0);
          const { epoch, incarnation, status } = table.get(subject) ?? start;
          return { epoch, incarnation, status, view: table.view };
        });
        t.same(views[0], views[1]);
        const highest = records
          .filter(({ epoch }) => epoch.counter === Math.max(...records.map((each) => each.epoch.counter)))
          .sort(compareClaims)
          .at(-1);
        t.equal(views[0]?.status, highest?.status);
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});
