/** Who does not know the swarm key gets nothing; who does and must not come in is told so. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import NoiseSecretStream from '@hyperswarm/secret-stream';
import HyperDHT from 'hyperdht';
import { test } from 'tap';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { publicKeyOf } from '../../lib/contracts/gateway-id.js';
import { realTimers } from '../../lib/real-clock.js';
import { secureSocket } from '../../mesh/transport/tcp-handshake.js';
import {
  allLinked,
  Channel,
  LOCAL,
  newSwarmKey,
  startBootstrap,
  startGateway,
  TestGateway,
} from './mesh-transport.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy, UdpProxy } from './mesh-transport-net.js';

const FRESH_LISTEN = { host: LOCAL, tcpPort: 0, udpPort: 0 };
const NO_TCP = { host: LOCAL, tcpPort: undefined, udpPort: 0 };

/** Bytes that came until the other side had enough. */
async function received(socket: Socket): Promise<number> {
  socket.on('error', () => {});
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
  return socket.bytesRead;
}

test('a stranger on a raw socket gets no byte, whatever it says, and is cut off', async (t) => {
  const gateway = await startGateway(t, { swarmKey: newSwarmKey() });
  const sayings = {
    nothing: Buffer.alloc(0),
    'a web request': Buffer.from('GET / HTTP/1.1\r\nhost: gateway\r\n\r\n'),
    'an MQTT CONNECT': Buffer.from('101000044d5154540402003c000474657374', 'hex'),
    noise: randomBytes(4096),
    'a message of the right length': Buffer.concat([Buffer.from([48, 0]), randomBytes(48)]),
    'a message that is too long': Buffer.from([0xff, 0xff]),
    'an empty message': Buffer.from([0, 0]),
  };
  const counts = await Promise.all(
    Object.entries(sayings).map(async ([name, bytes]) => {
      const socket = connect(gateway.tcp);
      if (bytes.length > 0) socket.write(bytes);
      return [name, await received(socket)] as const;
    }),
  );
  for (const [name, count] of counts) t.equal(count, 0, name);
  await eventually(() => gateway.transport.status().unproven.now === 0);
  t.equal(gateway.opened.length, 0);
});

test('a stranger with a plain secret stream gets no byte', async (t) => {
  const gateway = await startGateway(t, { swarmKey: newSwarmKey() });
  const socket = connect(gateway.tcp);
  const stream = new NoiseSecretStream(true, socket, { keyPair: HyperDHT.keyPair() });
  stream.on('error', () => {});
  t.equal(await received(socket), 0);
});

test('a gateway of another mesh gets no byte by TCP', async (t) => {
  const gateway = await startGateway(t, { swarmKey: newSwarmKey() });
  const socket = connect(gateway.tcp);
  socket.on('error', () => {});
  const result = await secureSocket(socket, {
    initiator: true,
    keyPair: HyperDHT.keyPair(),
    preSharedKey: newSwarmKey().derive('transport tcp'),
    timers: realTimers,
  });
  t.match(result, { failure: /does not know this swarm key/ });
  t.equal(socket.bytesRead, 0);
});

test('a gateway of another mesh gets no answer by UDP, and a member does', async (t) => {
  const swarmKey = newSwarmKey();
  const gateway = await startGateway(t, { swarmKey, listen: NO_TCP });
  const dialOf = async (key: typeof swarmKey): Promise<{ proxy: UdpProxy; dialler: TestGateway }> => {
    const proxy = await UdpProxy.start(t, gateway.transport.addresses.udp);
    const dialler = await startGateway(t, { swarmKey: key, listen: NO_TCP, book: bookOf(gateway.id, proxy) });
    return { proxy, dialler };
  };
  const member = await dialOf(swarmKey);
  await allLinked([gateway, member.dialler]);
  t.ok(member.proxy.handshakeAnswerBytes() > 0, 'the count sees an answer');
  const stranger = await dialOf(newSwarmKey());
  await eventually(() => stranger.dialler.statusOf(gateway)?.lastFailure !== undefined);
  t.match(stranger.dialler.statusOf(gateway)?.lastFailure, /does not know this swarm key/);
  t.ok(stranger.proxy.handshakes().length > 0, 'it has tried');
  t.equal(stranger.proxy.handshakeAnswerBytes(), 0);
  t.equal(gateway.opened.length, 1);
});

test('a stranger with hyperdht as it comes gets no answer, though it knows key and address', async (t) => {
  const gateway = await startGateway(t, { swarmKey: newSwarmKey() });
  const proxy = await UdpProxy.start(t, gateway.transport.addresses.udp);
  const stranger = new HyperDHT({ bootstrap: [], host: LOCAL, port: 0, firewalled: false });
  t.teardown(() => stranger.destroy({ force: true }));
  const stream = stranger.connect(Buffer.from(publicKeyOf(gateway.id)), { relayAddresses: [proxy.address] });
  const failures: unknown[] = [];
  stream.on('error', (error: unknown) => failures.push(error));
  let isOpen = false;
  stream.on('open', () => (isOpen = stream.handshakeHash !== null));
  await eventually(() => stream.destroyed);
  t.ok(proxy.handshakes().length > 0, 'it has tried');
  t.equal(proxy.handshakeAnswerBytes(), 0);
  t.equal(stream.rawBytesRead, 0);
  t.equal(isOpen, false);
  t.equal(gateway.transport.status().unproven.now, 0);
});

test('who answers with another key than the one that was wanted is refused', async (t) => {
  const swarmKey = newSwarmKey();
  const gateway = await startGateway(t, { swarmKey });
  const wanted = new TestGateway({ swarmKey });
  const dialler = await startGateway(t, {
    swarmKey,
    book: [{ id: wanted.id, addresses: [{ kind: 'tcp', ...gateway.tcp }] }],
  });
  dialler.transport.wanted([wanted.id]);
  await eventually(() => dialler.statusOf(wanted)?.lastFailure !== undefined);
  t.match(dialler.statusOf(wanted), {
    state: 'connecting',
    lastFailure: /another gateway \(\w{8}\) answers at/,
  });
  t.equal(dialler.opened.length + gateway.opened.length, 0);
});

test('an evicted gateway gets no link and is told why', async (t) => {
  const swarmKey = newSwarmKey();
  const evicted = new Set<GatewayId>();
  const gateway = await startGateway(t, { swarmKey, isRefused: (id) => evicted.has(id) });
  const other = new TestGateway({ swarmKey, peers: [gateway.tcp] });
  evicted.add(other.id);
  t.teardown(() => other.transport.stop());
  await other.transport.start();
  await eventually(() => other.transport.status().seeds[0]?.lastFailure !== undefined);
  t.match(other.transport.status().seeds[0]?.lastFailure, /^evicted/);
  t.equal(gateway.opened.length, 0);
});

test('a gateway that is evicted loses its link', async (t) => {
  const swarmKey = newSwarmKey();
  const evicted = new Set<GatewayId>();
  const gateway = await startGateway(t, { swarmKey, isRefused: (id) => evicted.has(id) });
  const other = await startGateway(t, { swarmKey, peers: [gateway.tcp] });
  await allLinked([gateway, other]);
  evicted.add(other.id);
  await gateway.until(() => gateway.closed.length > 0);
  await other.until(() => other.closed.length > 0);
  t.match(gateway.closed[0]?.reason, /^evicted/);
  t.match(other.closed[0]?.reason, /^evicted/);
  t.match(gateway.statusOf(other), { state: 'down', lastFailure: /^evicted/ });
  await gateway.transport.stop();
  t.same(gateway.book, [], 'and its place in the address book');
});

test('the first packet of a member, sent again by UDP, does not disturb its link', async (t) => {
  const swarmKey = newSwarmKey();
  const gateway = await startGateway(t, { swarmKey, listen: NO_TCP, handshakeMemoryMs: 20 });
  const proxy = await UdpProxy.start(t, gateway.transport.addresses.udp);
  const member = await startGateway(t, { swarmKey, listen: NO_TCP, book: bookOf(gateway.id, proxy) });
  await allLinked([gateway, member]);
  const link = gateway.links.get(member.id);
  const first = proxy.handshakes()[0] ?? Buffer.alloc(0);
  await eventually(() => {
    proxy.replay(first);
    return gateway.transport.status().unproven.now > 0;
  });
  t.pass('the replay is a connection for the library');
  member.links.get(gateway.id)?.send(Channel.forward, Buffer.from('still here'));
  await gateway.until(() => gateway.frames.length > 0);
  await eventually(() => gateway.transport.status().unproven.now === 0);
  t.equal(gateway.links.get(member.id), link, 'the link is the one from before');
  t.equal(gateway.closed.length, 0);
});

test('the first packet of a member, sent again by TCP, does not disturb its link', async (t) => {
  const swarmKey = newSwarmKey();
  const gateway = await startGateway(t, { swarmKey, listen: FRESH_LISTEN });
  const proxy = await TcpProxy.start(t, () => gateway.tcp);
  const member = await startGateway(t, { swarmKey, peers: [proxy.address] });
  await allLinked([gateway, member]);
  const socket = connect(gateway.tcp);
  socket.write(proxy.sent[0] ?? Buffer.alloc(0));
  socket.write(proxy.sent[1] ?? Buffer.alloc(0));
  await received(socket);
  member.links.get(gateway.id)?.send(Channel.forward, Buffer.from('still here'));
  await gateway.until(() => gateway.frames.length > 0);
  t.equal(gateway.closed.length, 0);
});

test('strangers do not take the place of members: there is a limit for those without a proof', async (t) => {
  const swarmKey = newSwarmKey();
  const { address } = await startBootstrap(t);
  const gateway = await startGateway(t, { swarmKey, bootstrap: [address] });
  const sockets = Array.from({ length: 40 }, () => connect(gateway.tcp));
  for (const socket of sockets) socket.on('error', () => {});
  await eventually(() => gateway.transport.status().unproven.refused >= 8);
  t.ok(gateway.transport.status().unproven.now <= 32);
  const member = await startGateway(t, { swarmKey, bootstrap: [address] });
  await allLinked([gateway, member]);
  for (const socket of sockets) socket.destroy();
});

function bookOf(
  id: GatewayId,
  { address }: UdpProxy,
): { id: GatewayId; addresses: { kind: 'udp'; host: string; port: number }[] }[] {
  return [{ id, addresses: [{ kind: 'udp', ...address }] }];
}
