import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import type { Epoch } from '../../../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import {
  cloneReportKey,
  cloneReportOf,
  isProven,
  judgeCloneReport,
  readCloneReport,
  type SignedCloneReport,
  signedCloneReportOf,
  writeCloneReport,
} from '../../../../mesh/identity/clone-report.js';
import { GatewayKey } from '../../../../mesh/identity/gateway-key.js';
import { signLife } from '../../../../mesh/identity/signed-life.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';

const ID = gatewayIdOf(new Uint8Array(32).fill(1));
const OTHER = gatewayIdOf(new Uint8Array(32).fill(2));
const epoch = (counter: number, digit: string): Epoch => ({ counter, nonce: digit.repeat(16) });
const LINEAGE = [
  { ...epoch(4, 'a'), after: 0 },
  { ...epoch(5, 'b'), after: 10 },
];

const bytesOf = (report: Parameters<typeof writeCloneReport>[1]): Uint8Array => {
  const writer = new ByteWriter();
  writeCloneReport(writer, report);
  return writer.finish();
};

t.test(
  'a report means a gateway where it names its present life and one that it does not know',
  async (t) => {
    const present = epoch(5, 'b');
    const judgeOf = (left: Epoch, right: Epoch, id = ID): string =>
      judgeCloneReport(cloneReportOf(id, left, right), ID, LINEAGE);
    t.equal(judgeOf(present, epoch(5, 'c')), 'clone');
    t.equal(judgeOf(epoch(6, 'c'), present), 'clone');
    t.equal(judgeOf(epoch(4, 'a'), present), 'stale', 'an earlier life of its own');
    t.equal(judgeOf(epoch(4, 'a'), epoch(5, 'c')), 'stale', 'it was started anew since');
    t.equal(judgeOf(epoch(4, 'd'), epoch(5, 'c')), 'stale');
    t.equal(judgeOf(epoch(3, 'd'), present), 'stale', 'before all that it remembers');
    t.equal(judgeOf(present, epoch(5, 'c'), OTHER), 'other');
  },
);

t.test('a report of a life that the same process has left behind still means it', async (t) => {
  const judgeOf = (left: Epoch, right: Epoch): string =>
    judgeCloneReport(cloneReportOf(ID, left, right), ID, LINEAGE, LINEAGE);
  t.equal(judgeOf(epoch(4, 'a'), epoch(4, 'c')), 'clone');
  t.equal(judgeOf(epoch(4, 'a'), epoch(5, 'b')), 'stale', 'two of its own');
  t.equal(judgeOf(epoch(3, 'a'), epoch(4, 'c')), 'stale', 'none of this process');
});

t.test('whoever sees two lives says the same of them', async (t) => {
  const left = { ...epoch(5, 'b'), after: 3 };
  t.same(cloneReportOf(ID, left, epoch(5, 'a')).epochs, [epoch(5, 'a'), epoch(5, 'b')]);
  t.same(cloneReportOf(ID, epoch(6, 'a'), left).epochs, [epoch(5, 'b'), epoch(6, 'a')]);
  t.equal(
    cloneReportKey(cloneReportOf(ID, epoch(6, 'a'), left)),
    cloneReportKey(cloneReportOf(ID, left, epoch(6, 'a'))),
  );
});

t.test('a report comes back from its bytes, and noise is malformed', async (t) => {
  const key = new GatewayKey(randomBytes(32));
  const reportOf = (left: Epoch, right: Epoch): SignedCloneReport =>
    signedCloneReportOf(key.id, signLife(key, left), signLife(key, right));
  const report = reportOf(epoch(5, 'b'), epoch(700, 'c'));
  t.ok(isProven(report));
  t.notOk(isProven({ ...report, id: ID }), 'of another gateway');
  for (const changed of [{ counter: 701 }, { nonce: 'd'.repeat(16) }, { signature: new Uint8Array(64) }])
    t.notOk(isProven({ ...report, epochs: [report.epochs[0], { ...report.epochs[1], ...changed }] }));
  const bytes = bytesOf(report);
  t.same(readCloneReport(new ByteReader(bytes)), report);
  for (let end = 0; end < bytes.length; end++)
    t.throws(() => readCloneReport(new ByteReader(bytes.subarray(0, end))), MalformedFrame);
  t.throws(() => readCloneReport(new ByteReader(bytesOf(reportOf(epoch(1, 'b'), epoch(1, 'b'))))), {
    message: /one life/,
  });
  t.throws(() => readCloneReport(new ByteReader(bytesOf(reportOf(epoch(0, 'b'), epoch(1, 'b'))))), {
    message: /counter 0/,
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
      try {
        readCloneReport(new ByteReader(noise));
      } catch (error) {
        return error instanceof MalformedFrame;
      }
      return true;
    }),
  );
});
