import t from 'tap';
import type { Epoch } from '../../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { createPayload } from '../../history/payload.js';
import { GatewayLedger } from './mesh-ledger.js';

const FIRST = { counter: 1, nonce: '1'.repeat(16), after: 0 };
const SECOND = { counter: 2, nonce: '2'.repeat(16), after: 10 };
const NEVER_BEGUN = { counter: 3, nonce: '3'.repeat(16) };

const messageOf = (payload: Buffer): Message =>
  createMessage({ topic: 'a', topicBytes: Buffer.from('\0\x01a'), payload, qos: 1, retain: false });

/** An origin that was put back to where its log ended with 10, from 30, and has come to 15 since; and who takes from it. */
function fixture() {
  const complaints: string[] = [];
  const make = (number: number): GatewayLedger =>
    new GatewayLedger(gatewayIdOf(new Uint8Array(32).fill(number)), 'run', (invariant) =>
      complaints.push(invariant),
    );
  const [origin, receiver] = [make(1), make(2)];
  origin.lineage = [FIRST];
  origin.committed = 30;
  origin.putBack([FIRST], origin.entries);
  origin.truncate(10);
  origin.lineage = [FIRST, SECOND];
  origin.committed = 15;
  let position = 0;
  const comes = (sequence: number, { counter, nonce }: Epoch): string[] => {
    const message = messageOf(Buffer.from('x'));
    message.source = { origin: origin.id, epoch: { counter, nonce } };
    message.sequence = sequence;
    receiver.appended(message, ++position, true, () => origin);
    return complaints.splice(0);
  };
  return { comes };
}

t.test(
  'what was forwarded before a rollback is of the life in which it was taken in, also when it comes late',
  async (t) => {
    const { comes } = fixture();
    t.same(comes(9, FIRST), []);
    t.same(comes(12, FIRST), [], 'of the history that ended');
    t.same(comes(30, FIRST), []);
    t.same(comes(12, SECOND), [], 'of the present one');
  },
);

t.test('what was in no history of a disk, or behind its end, is found', async (t) => {
  const { comes } = fixture();
  t.same(comes(31, FIRST), ['only what is committed is forwarded']);
  t.same(comes(16, SECOND), ['only what is committed is forwarded']);
  t.same(comes(9, SECOND), ['a message is of the life in which it was taken in']);
  t.same(comes(12, NEVER_BEGUN), ['a message is of the life in which it was taken in']);
});

t.test('what a rollback took does not come behind what came after it', async (t) => {
  const { comes } = fixture();
  t.same(comes(12, FIRST), []);
  t.same(comes(12, SECOND), []);
  t.same(comes(8, FIRST), [], 'both histories have it');
  t.same(comes(13, FIRST), ['what a rollback took does not come behind what came after it']);
});

t.test(
  'what a crash took and its publisher sent again is taken in twice where an image has it',
  async (t) => {
    const ledger = new GatewayLedger(gatewayIdOf(new Uint8Array(32)), 'run', (what) => t.fail(what));
    const takeIn = (seq: number, position: number): void => {
      const payload = createPayload({ run: 'run', mid: { pub: 0, seq }, session: 0, topic: 'a' });
      ledger.appended(messageOf(payload), position, false, () => undefined);
    };
    takeIn(1, 1);
    takeIn(2, 2);
    const image = [...ledger.entries];
    ledger.truncate(1);
    takeIn(3, 2);
    takeIn(2, 3);
    ledger.putBack([FIRST], image);
    t.same(
      [1, 2, 3].filter((seq) => ledger.wasTakenTwice({ pub: 0, seq })),
      [2],
    );
  },
);
