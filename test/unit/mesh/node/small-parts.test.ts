/** The small pieces of a node, each by itself. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { createMesh } from '../../../../mesh/admission/admin-key.js';
import { encodeEvictions, Roster } from '../../../../mesh/admission/roster.js';
import { Admission } from '../../../../mesh/node/admission.js';
import { Bookkeeping } from '../../../../mesh/node/bookkeeping.js';
import { linkEndOf, REBORN, REPLACED, STALLED } from '../../../../mesh/node/link-end.js';
import { OwnLineage } from '../../../../mesh/node/own-lineage.js';
import { PeerMatcher } from '../../../../mesh/node/peer-matcher.js';
import { decodeRun, encodeRun } from '../../../../mesh/node/runs.js';
import { Reason } from '../../../../mesh/transport/reasons.js';
import { MalformedFrame } from '../../../../mesh/wire/bytes.js';
import { idOf } from './fake-link.js';

class Admitting {
  readonly mesh = createMesh(randomBytes);
  readonly saved: number[] = [];
  readonly evicted: string[] = [];
  readonly admission: Admission;

  constructor(isKnown: boolean) {
    this.admission = new Admission(isKnown ? new Roster(this.mesh.binding) : undefined, {
      matchesAdmin: (key, salt) => this.mesh.swarmKey.matchesAdmin(key, salt),
      save: ({ evictions }) => this.saved.push(evictions.length),
      evicted: (id, reason) => this.evicted.push(`${id.slice(0, 4)} ${reason}`),
    });
  }

  statement(id: GatewayId, reason = ''): Uint8Array {
    const roster = new Roster(this.mesh.binding);
    return encodeEvictions([roster.evict(this.mesh.adminKey, id, reason)])[0] as Uint8Array;
  }
}

t.test(
  'a gateway that knows no administrator believes the one that the swarm key was made for, once',
  (t) => {
    const { admission, mesh, saved } = new Admitting(false);
    t.same([admission.admin, admission.version, admission.frames()], [undefined, '', []]);
    admission.learnAdmin(undefined);
    admission.learnAdmin(createMesh(randomBytes).binding);
    t.equal(admission.admin, undefined);
    admission.learnAdmin(mesh.binding);
    t.same(admission.admin, mesh.binding);
    t.match(admission.version, /^[0-9a-f]{16}$/);
    admission.learnAdmin(createMesh(randomBytes).binding);
    t.same(admission.admin, mesh.binding);
    t.same(saved, [0]);
    t.end();
  },
);

t.test('evictions that the administrator signed are taken, kept and told of, each once', (t) => {
  const world = new Admitting(true);
  const { admission, saved, evicted } = world;
  const frame = world.statement(idOf(5), 'stolen');
  t.ok(admission.merge(frame));
  t.notOk(admission.merge(frame), 'no news the second time');
  t.ok(admission.isEvicted(idOf(5)));
  t.equal(admission.reasonOf(idOf(5)), 'stolen');
  t.same([admission.isEvicted(idOf(6)), admission.reasonOf(idOf(6))], [false, '']);
  t.same([saved, evicted], [[1], ['0505 stolen']]);
  t.equal(admission.frames().length, 1);
  t.notOk(admission.merge(new Admitting(true).statement(idOf(6))), 'of another administrator');
  t.throws(() => admission.merge(Uint8Array.of(9)), MalformedFrame);
  t.notOk(new Admitting(false).admission.merge(frame), 'nothing is taken before the administrator is known');
  t.end();
});

t.test('a message belongs to the life in which its position was taken', (t) => {
  const nonce = (digit: string): string => digit.repeat(16);
  const first = { counter: 3, nonce: nonce('a'), after: 10 };
  const second = { counter: 4, nonce: nonce('b'), after: 20 };
  const kept = new Map<string, Uint8Array>();
  const notes = {
    note: (name: string) => kept.get(name),
    setNote: (name: string, bytes: Uint8Array) => void kept.set(name, bytes),
  };
  const own = new OwnLineage(idOf(1), [], notes);
  t.throws(() => own.present, /has not begun/);
  t.match(own.sourceAt(1), { origin: idOf(1), epoch: { counter: 0 } });
  own.begin([first]);
  t.equal(own.present, first);
  t.equal(own.sourceAt(5).epoch.counter, 3, 'the first life has what was there before it');
  own.begin([first, second]);
  t.same(own.all, [first, second]);
  t.same(
    [5, 20, 21].map((position) => own.sourceAt(position).epoch.counter),
    [3, 3, 4],
  );
  t.equal(own.sourceAt(21), own.sourceAt(1000), 'one object for each life');
  t.equal(
    new OwnLineage(idOf(1), [second], notes).sourceAt(5).epoch.counter,
    3,
    'the store knows lives that others are not told of any more',
  );
  t.same(
    new OwnLineage(idOf(1), [first], { note: () => undefined, setNote: () => undefined }).sourceAt(11).epoch,
    { counter: 3, nonce: nonce('a') },
  );
  t.end();
});

t.test('a matcher whose version was superseded goes on as it was', (t) => {
  const matcher = new PeerMatcher(() => 2);
  const { match } = matcher;
  t.equal(match('x'), 2);
  matcher.supersededBy((topic) => (topic === 'x' ? 1 : -1));
  t.same([match('x'), match('y')], [1, -1]);
  t.equal(matcher.match, match);
  t.end();
});

t.test('a run is read as it was written; what was cut in its head is malformed', (t) => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.string({ unit: 'grapheme', maxLength: 30 }),
      fc.uint8Array(),
      (v5, publisher, frames) => {
        const encoded = encodeRun(v5, publisher, frames);
        const decoded = decodeRun(encoded);
        t.same(decoded, { v5, publisher, frames });
        encoded.fill(0);
        t.same(decoded.frames, frames, 'its bytes are its own');
      },
    ),
    { numRuns: 100 },
  );
  const encoded = encodeRun(true, 'pump-7', new Uint8Array(0));
  for (let length = 0; length < encoded.length; length++)
    t.throws(() => decodeRun(encoded.subarray(0, length)), MalformedFrame);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => {
      try {
        decodeRun(noise);
        return true;
      } catch (error) {
        return error instanceof MalformedFrame;
      }
    }),
  );
  t.end();
});

t.test('the reason of the end of a link says what it means for the other side', (t) => {
  for (const reason of [REPLACED, STALLED, REBORN, Reason.replaced, 'relay: enough'])
    t.equal(linkEndOf(reason), 'agreed', reason);
  for (const reason of [Reason.silent, Reason.proofTimeout]) t.equal(linkEndOf(reason), 'silent', reason);
  for (const reason of [Reason.ended, Reason.stopped, 'anything'])
    t.equal(linkEndOf(reason), 'closed', reason);
  t.end();
});

t.test('positions that only tell how much of other logs is here are told apart from others', (t) => {
  const books = new Bookkeeping();
  t.equal(books.recorded(0), 0);
  t.equal(books.recorded(1), 1);
  t.equal(books.committed(1, 0), false, 'nothing else was committed');
  t.equal(books.committed(2, 0), true);
  books.recorded(3);
  books.recorded(5);
  t.equal(books.committed(4, 0), true, 'one of two was something else');
  t.equal(books.committed(5, 0), false);
  t.equal(books.committed(5, 0), false);
  t.equal(books.worthUpTo, 4, 'nobody waits to be told of 5');
  books.begin(9, 0);
  t.equal(books.worthUpTo, 9, 'a link begins with all that is there');
  books.recorded(11);
  t.equal(books.committed(13, 3), false, 'the others are of the archive alone');
  t.equal(books.committed(15, 4), true, 'one of two is');
  t.equal(books.committed(16, 5), false);
  t.end();
});
