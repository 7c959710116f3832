import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { SwarmKey } from '../../../../mesh/admission/swarm-key.js';
import {
  isAnyHost,
  isLoopback,
  isPort,
  plainHost,
  showAddress,
  udpHostOf,
} from '../../../../mesh/transport/address.js';
import { backoffMs } from '../../../../mesh/transport/backoff.js';
import { reasonOf, reasonThroughRouters } from '../../../../mesh/transport/reasons.js';
import { UnprovenGate } from '../../../../mesh/transport/unproven-gate.js';

test('addresses are shown as people write them', async (t) => {
  t.equal(showAddress({ host: '10.0.0.1', port: 4430 }), '10.0.0.1:4430');
  t.equal(showAddress({ host: 'fe80::1', port: 4430 }), '[fe80::1]:4430');
  t.equal(plainHost('::ffff:10.0.0.1'), '10.0.0.1');
  t.equal(plainHost('fe80::1'), 'fe80::1');
  t.equal(plainHost(undefined), '');
  t.same(['127.0.0.9', '::1', 'localhost', '10.0.0.1', 'gateway'].map(isLoopback), [
    true,
    true,
    true,
    false,
    false,
  ]);
  t.same(['0.0.0.0', '::', '10.0.0.1'].map(isAnyHost), [true, true, false]);
  t.same([1, 65_535, 0, 65_536, 1.5, Number.NaN].map(isPort), [true, true, false, false, false, false]);
});

test('waits double up to the cap, and are spread over the whole of it', async (t) => {
  t.same(
    [0, 1, 2, 6, 100].map((attempt) => backoffMs(attempt, 250, 15_000, 1)),
    [250, 500, 1000, 15_000, 15_000],
  );
  t.equal(backoffMs(3, 250, 15_000, 0), 0);
});

test('a reason names the address and what is wrong', async (t) => {
  const withCode = (code: string): Error => Object.assign(new Error('whatever'), { code });
  const at = { host: '10.0.0.7', port: 4430 };
  t.equal(reasonOf(withCode('ECONNREFUSED'), at), 'refused: nothing listens at 10.0.0.7:4430');
  t.equal(reasonOf(withCode('EHOSTUNREACH'), at), 'no route to 10.0.0.7:4430');
  t.match(reasonOf(withCode('PEER_NOT_FOUND'), 'the DHT'), /^no answer from the DHT/);
  for (const code of [
    'EPERM',
    'ENOTFOUND',
    'EAI_AGAIN',
    'ETIMEDOUT',
    'ECONNRESET',
    'ENETUNREACH',
    'EHOSTDOWN',
    'EACCES',
    'PEER_CONNECTION_FAILED',
  ]) {
    t.match(reasonOf(withCode(code), at), /10\.0\.0\.7:4430/, code);
  }
  t.equal(reasonOf(new Error('odd'), at), 'odd (10.0.0.7:4430)');
  t.equal(reasonOf('odder', at), 'odder (10.0.0.7:4430)');
});

test('where routers let nothing through it is said what is known of them', async (t) => {
  const at = { host: '10.0.0.7', port: 4430 };
  const closed = Object.assign(new Error('aborted'), { code: 'HOLEPUNCH_ABORTED' });
  const known = { observers: 3, isRandom: false };
  t.equal(
    reasonThroughRouters(closed, at, known),
    'no route: the firewalls between do not let 10.0.0.7:4430 through',
  );
  t.equal(
    reasonThroughRouters(closed, 'the DHT', { observers: 2, isRandom: true }),
    'no route: the firewalls between do not let it through; of the 3 nodes of the DHT that are needed to find out how, 2 are known',
  );
  t.match(
    reasonThroughRouters(closed, at, { ...known, isRandom: true }),
    /the router here takes another port/,
  );
  for (const code of [
    'CANNOT_HOLEPUNCH',
    'HOLEPUNCH_DOUBLE_RANDOMIZED_NATS',
    'HOLEPUNCH_PROBE_TIMEOUT',
    'REMOTE_ABORTED',
    'REMOTE_NOT_HOLEPUNCHABLE',
    'REMOTE_NOT_HOLEPUNCHING',
  ])
    t.match(
      reasonThroughRouters(Object.assign(new Error('whatever'), { code }), at, known),
      /^no route/,
      code,
    );
  const unknown = Object.assign(new Error('gone'), { code: 'PEER_NOT_FOUND' });
  t.match(
    reasonThroughRouters(unknown, 'the DHT', { observers: 0, isRandom: true }),
    /^no answer from the DHT/,
  );
});

test('of connections without a proof there are so many, and so many from one address', async (t) => {
  const gate = new UnprovenGate(6, 2);
  const leave = gate.enter('10.0.0.1');
  t.ok(leave);
  t.ok(gate.enter('10.0.0.1'));
  t.equal(gate.enter('10.0.0.1'), undefined);
  leave?.();
  leave?.();
  t.equal(gate.count, 1, 'one that leaves twice is one');
  t.ok(gate.enter('10.0.0.1'));
  for (const host of ['127.0.0.1', '127.0.0.1', '127.0.0.1', '10.0.0.2']) t.ok(gate.enter(host), host);
  t.equal(gate.enter('10.0.0.3'), undefined, 'full');
  t.equal(gate.enter('127.0.0.1'), undefined, 'for this machine too');
  t.equal(gate.refused, 3);
});

test('of the swarm key each kind of connection has a secret of its own, the same for all members', async (t) => {
  const key = SwarmKey.create(randomBytes);
  const again = SwarmKey.parse(key.reveal());
  const purposes = ['transport udx', 'transport tcp', 'transport lan'] as const;
  const secrets = purposes.map((purpose) => Buffer.from(key.derive(purpose)).toString('hex'));
  t.equal(new Set([...secrets, Buffer.from(key.topic).toString('hex')]).size, 4);
  t.same(
    purposes.map((purpose) => Buffer.from(again.derive(purpose)).toString('hex')),
    secrets,
  );
});

test('UDP listens on the IPv4 side of what TCP listens on', async (t) => {
  t.same(['::', '::1', 'localhost', '10.0.0.1'].map(udpHostOf), [
    '0.0.0.0',
    '127.0.0.1',
    '127.0.0.1',
    '10.0.0.1',
  ]);
});
