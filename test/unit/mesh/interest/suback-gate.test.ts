import t from 'tap';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { SubackGate } from '../../../../mesh/interest/index.js';

const peerOf = (n: number): GatewayId => gatewayIdOf(new Uint8Array(32).fill(n));
const A = peerOf(1);
const B = peerOf(2);

function gateWith(...peers: GatewayId[]) {
  const gate = new SubackGate();
  for (const peer of peers) gate.peerReached(peer, 0);
  const released: string[] = [];
  const hold = (name: string, version: number, now = 0): void =>
    gate.hold(version, now, () => released.push(name));
  return { gate, released, hold };
}

t.test('nobody is waited for where there is nobody', async (t) => {
  const { gate, released, hold } = gateWith();
  hold('a', 1);
  t.same(released, ['a']);
  t.equal(gate.releasedWithoutPeers, 1);
  t.equal(gate.nextDeadlineMs, undefined);
});

t.test('a SUBACK leaves when all peers have the version', async (t) => {
  const { gate, released, hold } = gateWith(A, B);
  hold('a', 2);
  hold('b', 2);
  hold('c', 3);
  hold('old', 0);
  t.same(released, ['old'], 'they have that');
  gate.acknowledged(A, 3);
  gate.acknowledged(A, 1);
  hold('d', 1);
  t.same(released, ['old']);
  gate.acknowledged(B, 2);
  t.same(released, ['old', 'd', 'a', 'b']);
  t.equal(gate.heldCount, 1);
  gate.acknowledged(B, 3);
  hold('e', 3);
  t.same(released, ['old', 'd', 'a', 'b', 'c', 'e']);
  t.equal(gate.releasedByAcknowledgement, 6);
  t.equal(gate.heldCount, 0);
});

t.test('after 250 ms nobody is waited for', async (t) => {
  const { gate, released, hold } = gateWith(A);
  hold('a', 1, 1000);
  hold('b', 1, 1100);
  hold('c', 2, 1200);
  t.equal(gate.nextDeadlineMs, 1250);
  gate.tick(1249);
  t.same(released, []);
  gate.tick(1360);
  t.same(released, ['a', 'b']);
  t.equal(gate.nextDeadlineMs, 1450);
  gate.acknowledged(A, 2);
  t.same(released, ['a', 'b', 'c']);
  gate.tick(5000);
  t.equal(gate.releasedByTime, 2);
  t.equal(gate.releasedByAcknowledgement, 1);
});

t.test('a peer that is gone is not waited for, one that comes is', async (t) => {
  const { gate, released, hold } = gateWith(A, B);
  gate.acknowledged(B, 1);
  hold('a', 1);
  hold('b', 2);
  gate.peerReached(B, -1);
  gate.peerGone(A);
  gate.peerGone(A);
  gate.acknowledged(A, 5);
  t.same(released, [], 'B is new');
  gate.acknowledged(B, 1);
  t.same(released, ['a']);
  gate.peerGone(B);
  t.same(released, ['a', 'b']);
});

t.test('whoever is released may hold again', async (t) => {
  const { gate, released, hold } = gateWith(A);
  gate.hold(1, 0, () => hold('again', 2, 0));
  gate.acknowledged(A, 1);
  t.same(released, []);
  gate.hold(3, 0, () => hold('later', 3, 300));
  gate.tick(250);
  t.same(released, ['again']);
  gate.acknowledged(A, 3);
  t.same(released, ['again', 'later']);
});

t.test('many that wait cost as much as few', async (t) => {
  const { gate, released, hold } = gateWith(A, B);
  for (let version = 1; version <= 5_000; version++) hold(String(version), version, version / 100);
  for (let version = 1; version <= 4_000; version++) {
    gate.acknowledged(A, version);
    gate.acknowledged(B, version);
  }
  t.equal(released.length, 4_000);
  gate.tick(10_000);
  t.equal(released.length, 5_000);
  t.equal(gate.heldCount, 0);
});
