import fc from 'fast-check';
import t from 'tap';
import type { ObjectAnswer, ObjectRequest } from '../../../../bridge/archive/relay/object-request.js';
import {
  answerOf,
  decodeFrame,
  encodeAnswer,
  encodeFrame,
  encodeRequest,
  type RelayFrame,
  requestOf,
} from '../../../../bridge/archive/relay/relay-frames.js';

const key = fc.stringMatching(/^[a-z0-9/=.-]{1,60}$/);
const size = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const bytes = fc.uint8Array({ maxLength: 100 });
const text = fc.stringMatching(/^[a-zA-Zäß0-9 ]{0,60}$/);

const requests: fc.Arbitrary<ObjectRequest> = fc.oneof(
  fc.constant({ kind: 'identify' as const }),
  fc.constant({ kind: 'createsOnce' as const }),
  fc.record({ kind: fc.constant('create' as const), key, length: size }),
  fc.record({ kind: fc.constant('read' as const), key, offset: size, length: u32 }),
  fc.record({ kind: fc.constant('stat' as const), key }),
);
const answers: fc.Arbitrary<ObjectAnswer> = fc.oneof(
  fc.record({
    ...{ kind: fc.constant('identity' as const), name: text },
    identity: fc.stringMatching(/^[0-9a-f]{32}$/),
  }),
  fc.record({ kind: fc.constant('is' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant('stat' as const), length: size }),
  fc.record({ kind: fc.constant('bytes' as const), bytes, isEnd: fc.boolean() }),
  fc.constant({ kind: 'none' as const }),
  fc.record({
    ...{ kind: fc.constant('fault' as const), text },
    fault: fc.constantFrom(...(['busy', 'unreachable', 'unknown', 'denied', 'full', 'other'] as const)),
  }),
);

function decoded(frame: Uint8Array): RelayFrame {
  const found = decodeFrame(frame);
  if (found === undefined || typeof found === 'string') throw new Error(String(found));
  return found;
}

t.test('what one gateway asks and the other one answers arrives as it was', async (t) => {
  fc.assert(
    fc.property(u32, requests, (id, request) => {
      const frame = decoded(encodeRequest(id, request));
      t.equal(frame.id, id);
      t.same(requestOf(frame), request);
      t.equal(answerOf(frame), undefined);
    }),
    { numRuns: 50 },
  );
  fc.assert(
    fc.property(u32, answers, (id, answer) => {
      const frame = decoded(encodeAnswer(id, answer));
      t.equal(frame.id, id);
      t.same(answerOf(frame), answer);
      t.equal(requestOf(frame), undefined);
    }),
    { numRuns: 50 },
  );
});

t.test('of any bytes a frame is made, or it is said what is wrong, or they are passed over', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (frame) => {
      const found = decodeFrame(frame);
      if (typeof found === 'object') {
        requestOf(found);
        answerOf(found);
      }
      return true;
    }),
    { numRuns: 2000 },
  );
  t.equal(decodeFrame(Buffer.from([200, 0, 0, 0, 0])), undefined, 'of a later version');
  t.match(decodeFrame(Buffer.from([4, 0, 0])), 'without a head');
  t.match(decodeFrame(encodeFrame('pull', 7, [1, 2]).subarray(0, 12)), 'pull is cut off');
});

t.test('what another gateway says moves no cursor, and is short', async (t) => {
  const evil = { kind: 'fault' as const, fault: 'other' as const, text: `\u001b[2J${'x'.repeat(5000)}` };
  const answer = answerOf(decoded(encodeAnswer(1, evil)));
  if (answer?.kind !== 'fault') throw new Error('no fault');
  t.match(answer.text, /^\?\[2Jx+$/);
  t.ok(answer.text.length <= 512);
  t.match(answerOf({ kind: 'fault', id: 1, numbers: [99], rest: new Uint8Array(0) }), { fault: 'other' });
});
