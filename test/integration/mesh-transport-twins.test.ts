/** Two processes with one key, and a process that takes the place of one with the same key. */
import HyperDHT from 'hyperdht';
import { test } from 'tap';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import type { Twins } from '../../mesh/transport/index.js';
import { Channel, type GatewaySettings, newSwarmKey, startGateway, TestGateway } from './mesh-transport.js';
import { TcpProxy } from './mesh-transport-net.js';

type KeyPair = ReturnType<typeof HyperDHT.keyPair>;

/** One of each pair is the lesser, which follows the choice of the other. */
function keyPairs(): { lesser: KeyPair; greater: KeyPair } {
  const [one, other] = [HyperDHT.keyPair(), HyperDHT.keyPair()];
  return gatewayIdOf(one.publicKey) < gatewayIdOf(other.publicKey)
    ? { lesser: one, greater: other }
    : { lesser: other, greater: one };
}

/** As a gateway does: the first frame leaves in the turn in which the link is there. */
function greetsAtOnce(gateway: TestGateway): TestGateway {
  const { onLink } = gateway.transport;
  gateway.transport.onLink = (link) => {
    onLink?.(link);
    link.send(Channel.hello, Buffer.from('hello'));
  };
  return gateway;
}

async function start(settings: GatewaySettings, stops: (stop: () => unknown) => void): Promise<TestGateway> {
  const gateway = greetsAtOnce(new TestGateway(settings));
  stops(() => gateway.transport.stop());
  await gateway.transport.start();
  return gateway;
}

for (const copied of ['lesser', 'greater'] as const)
  test(`a copy is known by its first connection, to itself too, where the key that is copied is the ${copied}`, async (t) => {
    const swarmKey = newSwarmKey();
    const keys = keyPairs();
    const { promise: seen, resolve: see } = withResolvers<Twins>();
    const other = await startGateway(t, {
      swarmKey,
      keyPair: copied === 'lesser' ? keys.greater : keys.lesser,
      onTwin: see,
    });
    const keyPair = keys[copied];
    const peers = [other.tcp];
    const stops = (stop: () => unknown): void => t.teardown(stop);
    const original = await start({ swarmKey, keyPair, peers }, stops);
    const link = await other.linkTo(original);
    const { promise: told, resolve: tell } = withResolvers<Twins>();
    const copy = await start({ swarmKey, keyPair, peers, onTwin: tell }, stops);
    const [there, here] = await Promise.all([seen, told]);
    t.equal(there.id, original.id);
    t.equal(here.id, copy.id);
    t.same([here.live, here.other], [there.live, there.other]);
    t.equal(other.links.get(original.id), link, 'the link to the original stays');
    t.ok(copy.opened.length <= 1, 'it was the first connection');
  });

test('what a gateway says at once after it came back is not lost while its dead link is asked', async (t) => {
  const swarmKey = newSwarmKey();
  const { lesser, greater } = keyPairs();
  const other = await startGateway(t, { swarmKey, keyPair: lesser });
  const stops = (stop: () => unknown): void => t.teardown(stop);
  const line = await TcpProxy.start(t, () => other.tcp);
  const before = await start({ swarmKey, keyPair: greater, peers: [line.address] }, stops);
  const link = await other.linkTo(before);
  await other.until(() => other.frames.length === 1);
  line.freeze();
  const after = await start({ swarmKey, keyPair: greater, peers: [other.tcp] }, stops);
  await other.until(() => other.links.get(after.id) !== link && other.links.has(after.id));
  await other.until(() => other.frames.length === 2);
  t.equal(after.opened.length, 1, 'by the first connection');
  t.match(other.closed, [{ link, reason: /did not answer within half a second/ }]);
});

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}
