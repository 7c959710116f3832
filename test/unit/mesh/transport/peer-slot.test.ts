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
  connection: (path: 'tcp' | 'udx', name: string) => FakeConnection;
} {
  const time = new VirtualTime();
  const log: string[] = [];
  const [own, peer] = isChooser ? [GREATER, LESSER] : [LESSER, GREATER];
  const slot = new PeerSlot<FakeConnection>(peer, own, time, {
    onLink: ({ name }) => void log.push(`link ${name}`),
  });
  return { slot, time, log, connection: (path, name) => new FakeConnection(path, log, name) };
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
