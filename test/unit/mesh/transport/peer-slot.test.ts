import { test } from 'tap';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import type { ConnectionState } from '../../../../mesh/transport/connection.js';
import { ByeCode } from '../../../../mesh/transport/control.js';
import { PeerSlot, type SlotConnection } from '../../../../mesh/transport/peer-slot.js';
import { VirtualTime } from './virtual-time.js';

const LESSER = gatewayIdOf(new Uint8Array(32));
const GREATER = gatewayIdOf(new Uint8Array(32).fill(9));

class FakeConnection implements SlotConnection {
  state: ConnectionState = 'proven';
  dismissedAs: ByeCode | undefined;
  onPong: (() => void) | undefined;
  constructor(
    readonly path: 'tcp' | 'udx',
    readonly log: string[],
    readonly name: string,
    readonly instance = 'one',
  ) {}
  use(isChooser: boolean): void {
    this.state = 'live';
    if (isChooser) this.log.push(`use ${this.name}`);
  }
  dismiss(_reason: string, code: ByeCode): void {
    this.state = 'closed';
    this.dismissedAs = code;
    this.log.push(`dismiss ${this.name}`);
  }
  ping(onPong: () => void): void {
    this.onPong = onPong;
  }
}

function createSlot(isChooser: boolean): {
  slot: PeerSlot<FakeConnection>;
  time: VirtualTime;
  log: string[];
  connection: (path: 'tcp' | 'udx', name: string, instance?: string) => FakeConnection;
} {
  const time = new VirtualTime();
  const log: string[] = [];
  const [own, peer] = isChooser ? [GREATER, LESSER] : [LESSER, GREATER];
  const slot = new PeerSlot<FakeConnection>(peer, own, time, {
    onLink: ({ name }) => void log.push(`link ${name}`),
    onTwin: (live, other) => void log.push(`twins ${live.name} ${other.name}`),
  });
  return {
    slot,
    time,
    log,
    connection: (path, name, instance) => new FakeConnection(path, log, name, instance),
  };
}

test('the one with the greater key takes the first connection at once, and says so', async (t) => {
  const { slot, log, connection } = createSlot(true);
  t.ok(slot.isEmpty);
  const first = connection('udx', 'first');
  slot.proven(first);
  t.same(log, ['use first', 'link first']);
  t.equal(slot.live, first);
});

test('TCP takes the place of UDX: the old link is closed, then the new one is there', async (t) => {
  const { slot, log, connection } = createSlot(true);
  const udx = connection('udx', 'udx');
  slot.proven(udx);
  slot.proven(connection('tcp', 'tcp'));
  t.same(log.slice(2), ['use tcp', 'dismiss udx', 'link tcp']);
  t.equal(udx.dismissedAs, ByeCode.replaced);
  slot.gone(udx);
  t.equal(slot.live?.name, 'tcp');
});

test('an equal connection does not replace a link that answers', async (t) => {
  const { slot, time, log, connection } = createSlot(true);
  const first = connection('tcp', 'first');
  slot.proven(first);
  slot.proven(connection('tcp', 'second'));
  slot.proven(connection('udx', 'third'));
  await time.advance(499);
  first.onPong?.();
  await time.advance(1000);
  t.same(log.slice(2), ['dismiss second', 'dismiss third']);
  t.equal(slot.live, first);
});

test('it replaces a link that does not answer within half a second; the best of those that wait', async (t) => {
  const { slot, time, log, connection } = createSlot(true);
  slot.proven(connection('tcp', 'dead'));
  const udx = connection('udx', 'udx');
  slot.proven(udx);
  slot.proven(connection('tcp', 'new'));
  await time.advance(500);
  t.same(log.slice(2), ['use new', 'dismiss dead', 'link new', 'dismiss udx']);
  t.equal(udx.dismissedAs, ByeCode.duplicate);
});

test('a late answer of a link that was replaced says nothing', async (t) => {
  const { slot, time, log, connection } = createSlot(true);
  const dead = connection('tcp', 'dead');
  slot.proven(dead);
  slot.proven(connection('tcp', 'new'));
  await time.advance(500);
  dead.onPong?.();
  t.equal(slot.live?.name, 'new');
  t.equal(log.at(-1), 'link new');
});

test('when the link ends while another waits, that one is the link at once', async (t) => {
  const { slot, time, log, connection } = createSlot(true);
  const first = connection('tcp', 'first');
  slot.proven(first);
  slot.proven(connection('udx', 'second'));
  t.ok(slot.hasWaiting);
  first.state = 'closed';
  slot.gone(first);
  t.same(log.slice(2), ['use second', 'link second']);
  await time.advance(1000);
  t.equal(slot.live?.name, 'second');
});

test('the other one waits to be told, and follows', async (t) => {
  const { slot, log, connection } = createSlot(false);
  const [udx, tcp] = [connection('udx', 'udx'), connection('tcp', 'tcp')];
  slot.proven(tcp);
  slot.proven(udx);
  t.same(log, []);
  slot.use(udx);
  t.same(log, ['link udx']);
  slot.use(tcp);
  t.same(log, ['link udx', 'dismiss udx', 'link tcp']);
  slot.use(tcp);
  t.equal(slot.connections().length, 1);
  slot.gone(tcp);
  t.ok(slot.isEmpty);
});

test('the one with the greater key is not told what to use', async (t) => {
  const { slot, log, connection } = createSlot(true);
  slot.proven(connection('tcp', 'first'));
  const second = connection('tcp', 'second');
  slot.proven(second);
  slot.use(second);
  t.same(log, ['use first', 'link first']);
});

test('the one that follows takes none that the other side has not chosen, and takes the chosen one as soon as the link ends', async (t) => {
  const { slot, time, log, connection } = createSlot(false);
  const dead = connection('udx', 'dead');
  slot.proven(dead);
  slot.use(dead);
  const chosen = connection('udx', 'chosen', 'two');
  slot.proven(chosen);
  slot.proven(connection('tcp', 'not chosen', 'two'));
  slot.use(chosen);
  log.length = 0;
  dead.state = 'closed';
  slot.gone(dead);
  t.same(log, ['link chosen']);
  await time.advance(1000);
  t.equal(slot.live, chosen);
});

for (const isChooser of [true, false])
  test(`who takes the place of a dead link has half a second of its own to answer (${String(isChooser)})`, async (t) => {
    const { slot, time, log, connection } = createSlot(isChooser);
    const arrive = (name: string, instance: string): FakeConnection => {
      const one = connection('tcp', name, instance);
      slot.proven(one);
      if (!isChooser) slot.use(one);
      return one;
    };
    const dead = arrive('dead', 'one');
    const next = arrive('next', 'two');
    dead.state = 'closed';
    slot.gone(dead);
    await time.advance(400);
    t.equal(slot.live, next);
    const twin = arrive('twin', 'three');
    await time.advance(200);
    t.equal(slot.live, next, 'the first question was not for it');
    log.length = 0;
    next.onPong?.();
    t.same(log, ['twins next twin', 'dismiss twin']);
    t.equal(twin.dismissedAs, ByeCode.twin);
  });

test('of two processes that wait for a dead link to answer, one takes its place and is asked in turn', async (t) => {
  const { slot, time, log, connection } = createSlot(false);
  for (const [name, instance] of [
    ['dead', 'one'],
    ['original', 'two'],
    ['copy', 'three'],
  ] as const) {
    const one = connection('tcp', name, instance);
    slot.proven(one);
    slot.use(one);
  }
  await time.advance(500);
  t.equal(slot.live?.name, 'original');
  log.length = 0;
  slot.live?.onPong?.();
  t.same(log, ['twins original copy', 'dismiss copy']);
});

for (const isChooser of [true, false])
  test(`two processes with one key are told apart, whoever chooses (${String(isChooser)})`, async (t) => {
    const { slot, log, time, connection } = createSlot(isChooser);
    const first = connection('udx', 'first');
    slot.proven(first);
    if (!isChooser) slot.use(first);
    t.equal(slot.live, first);
    const other = connection('tcp', 'other', 'two');
    slot.proven(other);
    if (!isChooser) slot.use(other);
    t.equal(slot.live, first, 'nothing is known yet');
    log.length = 0;
    first.onPong?.();
    t.same(log, ['twins first other', 'dismiss other']);
    t.equal(other.dismissedAs, ByeCode.twin);
    slot.gone(other);
    // A new process whose old one is gone.
    const next = connection('tcp', 'next', 'three');
    slot.proven(next);
    if (!isChooser) slot.use(next);
    log.length = 0;
    await time.advance(1000);
    t.equal(slot.live, next);
    t.notOk(log.some((line) => line.startsWith('twins')));
  });
