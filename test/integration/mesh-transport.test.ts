/** Gateways find each other: by the DHT, by an address, by what they remember. */
import { test } from 'tap';
import {
  allLinked,
  Channel,
  newSwarmKey,
  startBootstrap,
  startGateway,
  TestGateway,
} from './mesh-transport.js';
import { eventually } from '../support/eventually.js';

test('two gateways find each other through a bootstrap node, and both say so', async (t) => {
  const swarmKey = newSwarmKey();
  const { address } = await startBootstrap(t);
  const a = await startGateway(t, { swarmKey, bootstrap: [address] });
  const b = await startGateway(t, { swarmKey, bootstrap: [address] });
  await allLinked([a, b]);
  t.match(a.statusOf(b), { state: 'up', lastFailure: undefined });
  t.equal(a.links.get(b.id)?.peer, b.id);
  const { dht } = a.transport.status();
  t.match(dht, { isUsed: true, isBootstrapped: true });
  a.links.get(b.id)?.send(Channel.hello, Buffer.from('good morning'));
  await b.until(() => b.frames.length > 0);
  t.equal(b.frames[0]?.frame.toString(), 'good morning');
});

test('two gateways that start in the same instant find each other', async (t) => {
  const swarmKey = newSwarmKey();
  const { address } = await startBootstrap(t);
  const begin = performance.now();
  const gateways = await Promise.all([1, 2].map(() => startGateway(t, { swarmKey, bootstrap: [address] })));
  await allLinked(gateways);
  const took = performance.now() - begin;
  t.ok(took < 5000, `it took ${took} ms`);
});

test('five gateways are linked each to each, once', async (t) => {
  const swarmKey = newSwarmKey();
  const { address } = await startBootstrap(t);
  const gateways = await Promise.all(
    [1, 2, 3, 4, 5].map(() => startGateway(t, { swarmKey, bootstrap: [address] })),
  );
  await allLinked(gateways);
  // Links by UDP are replaced by TCP, and each end sees the old one go in its own time.
  const isTcpAlone = ({ links, transport }: TestGateway): boolean =>
    [...links.values()].filter(({ path }) => path === 'tcp').length === 4 &&
    transport.status().connections === 4;
  await eventually(() => gateways.every(isTcpAlone));
  for (const gateway of gateways) t.equal(gateway.links.size, 4);
});

test('an address of one is enough, without a DHT', async (t) => {
  const swarmKey = newSwarmKey();
  const a = await startGateway(t, { swarmKey });
  const b = await startGateway(t, { swarmKey, peers: [a.tcp] });
  await allLinked([a, b]);
  t.equal(a.links.get(b.id)?.path, 'tcp');
  t.match(b.transport.status().seeds, [{ id: a.id, lastFailure: undefined }]);
});

test('a gateway whose own address is among the peers notices, and goes on', async (t) => {
  const swarmKey = newSwarmKey();
  const a = new TestGateway({ swarmKey });
  t.teardown(() => a.transport.stop());
  await a.transport.start();
  const b = await startGateway(t, { swarmKey, peers: [a.tcp] });
  await allLinked([a, b]);
});

test('links that came by UDP go over to TCP', async (t) => {
  const swarmKey = newSwarmKey();
  const { address } = await startBootstrap(t);
  const a = await startGateway(t, { swarmKey, bootstrap: [address] });
  const b = await startGateway(t, { swarmKey, bootstrap: [address] });
  await a.linkTo(b, 'tcp');
  await b.linkTo(a, 'tcp');
  t.equal(a.links.size, 1);
  for (const { reason } of a.closed) t.match(reason, /^replaced/);
});

test('after all were off, and with the DHT gone, they find each other again by the address book', async (t) => {
  const swarmKey = newSwarmKey();
  const boot = await startBootstrap(t);
  const first = await Promise.all(
    [1, 2, 3].map(() => startGateway(t, { swarmKey, bootstrap: [boot.address] })),
  );
  await allLinked(first);
  await Promise.all(first.map(({ transport }) => transport.stop()));
  await boot.stop();
  const again = await Promise.all(
    first.map(({ keyPair, book, transport }) => {
      const { tcp, udp } = transport.addresses;
      void tcp;
      return startGateway(t, {
        swarmKey,
        keyPair,
        book,
        bootstrap: [boot.address],
        listen: { host: '127.0.0.1', tcpPort: portOf(book, keyPair) ?? 0, udpPort: udp.port },
      });
    }),
  );
  await allLinked(again);
  t.pass('linked');

  function portOf(_book: unknown, keyPair: { publicKey: Uint8Array }): number | undefined {
    const own = Buffer.from(keyPair.publicKey).toString('hex');
    for (const { book } of first) {
      const known = book
        .find(({ id }) => id === own)
        ?.addresses.find(({ kind, port }) => kind === 'tcp' && port > 0);
      if (known !== undefined) return known.port;
    }
    return undefined;
  }
});
