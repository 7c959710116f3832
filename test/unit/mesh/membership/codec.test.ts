import t from 'tap';
import { EPOCH_COUNTER_MAX } from '../../../../lib/contracts/epoch.js';
import {
  decodeMessage,
  encodeMessage,
  encodeRecord,
  MEMBER_STATUSES,
} from '../../../../mesh/membership/index.js';
import { ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';
import { gateway, metadata, record } from './rig.js';

/** `bytes` with a field behind those that this version knows. */
function grown(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes, 1, 2, 3]);
}

t.test('fields of a later version behind the known ones are passed over', (t) => {
  const known = record(2, { metadata: metadata(3) });
  const plain = encodeRecord(known);
  const message = decodeMessage(encodeMessage({ kind: 'push' }, [grown(plain)]));
  t.same(message?.records, [known]);
  const body = new ByteWriter().u32(7).u32(9).u32(1).finish();
  const ack = new ByteWriter().u8(1).u8(2).bytes(body).varint(0).finish();
  t.same(decodeMessage(ack)?.body, { kind: 'ack', sequence: 7, view: 9 });
  t.end();
});

t.test('a kind of a later version is passed over, another version of all is an error', (t) => {
  t.equal(
    decodeMessage(new ByteWriter().u8(1).u8(99).bytes(new Uint8Array(3)).varint(0).finish()),
    undefined,
  );
  t.throws(() => decodeMessage(new ByteWriter().u8(2).u8(1).finish()), MalformedFrame);
  t.end();
});

t.test('an accusation that could not be answered is malformed', (t) => {
  const incarnation = 2 ** 48;
  for (const status of MEMBER_STATUSES) {
    const bytes = encodeMessage({ kind: 'push' }, [encodeRecord(record(2, { incarnation, status }))]);
    const digest = encodeMessage({
      kind: 'digest',
      entries: [{ id: gateway(2), counter: 1, incarnation, status, metadataVersion: 1 }],
    });
    for (const each of [bytes, digest])
      if (status === 'suspect' || status === 'dead') t.throws(() => decodeMessage(each), MalformedFrame);
      else t.ok(decodeMessage(each));
  }
  t.end();
});

t.test('what is too long or too much is malformed', (t) => {
  const refused = [
    record(2, { incarnation: 2 ** 48 + 1 }),
    record(2, { epoch: { counter: EPOCH_COUNTER_MAX + 1, nonce: '00000000000000aa' } }),
    record(2, { metadata: metadata(1, { site: 'x'.repeat(65) }) }),
    record(2, { metadata: metadata(1, { software: 'x'.repeat(65) }) }),
    record(2, { metadata: metadata(1, { addresses: new Array<string>(9).fill('a:1') }) }),
    record(2, { metadata: metadata(1, { addresses: ['x'.repeat(129)] }) }),
    record(2, { metadata: metadata(1, { health: new Array<string>(9).fill('a') }) }),
    record(2, { metadata: metadata(1, { health: ['x'.repeat(65)] }) }),
  ];
  for (const each of refused)
    t.throws(() => decodeMessage(encodeMessage({ kind: 'push' }, [encodeRecord(each)])), MalformedFrame);
  const status = encodeRecord(record(2, { metadata: undefined }));
  status[32 + 1 + 8 + 1] = 4;
  t.throws(() => decodeMessage(encodeMessage({ kind: 'push' }, [status])), /no such status/);
  t.end();
});
