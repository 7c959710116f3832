/** What the fuzzer has found, each as the shortest packets that showed it. */
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';

const server = await startServer(t, { scramUsers: { ann: 'secret' } });

t.test(
  'a second CONNECT with an unknown protocol level is a protocol error, not the end of the process',
  async (t) => {
    const client = await RawClient.connect(t, server.port);
    client.send(wire.connect({ version: 5, level: 9, clientId: unique('again') }));
    await client.expectDisconnect(0x82);
  },
);

t.test('what only a connected client may be told is not put into CONNACK', async (t) => {
  const properties: wire.Properties = {
    authenticationMethod: 'SCRAM-SHA-256',
    authenticationData: `n,,n=ann,r=${unique('nonce')}`,
  };
  // Its topic filter alone is 0x8F, its alias alone 0x94, its level alone 0x84.
  const packets = [
    wire.subscribe(1, [{ filter: 'a#' }]),
    wire.publish({ topic: 'x', properties: { topicAlias: 0 } }),
    wire.connect({ version: 5, level: 9 }),
  ];
  for (const packet of packets) {
    const client = await RawClient.open(t, server.port);
    client.send(wire.connect({ version: 5, clientId: unique('auth'), properties }));
    await client.expect('auth');
    client.send(packet);
    await client.expectRefused(0x82);
  }
});

t.test('no answer is larger than the Maximum Packet Size of the client [MQTT-3.1.2-24]', async (t) => {
  const tiny = await RawClient.open(t, server.port);
  tiny.send(wire.connect({ version: 5, properties: { maximumPacketSize: 2 } }));
  await tiny.expectClose();

  const refused = await RawClient.open(t, server.port);
  refused.send(
    wire.connect({ version: 5, properties: { maximumPacketSize: 20, authenticationMethod: 'none' } }),
  );
  const connack = await refused.expect('connack');
  t.equal(connack.reasonCode, 0x8c);
  t.ok(connack.bytes.length <= 20, 'it does without its reason string');
  await refused.expectClose();

  const small = await RawClient.connect(t, server.port, { properties: { maximumPacketSize: 30 } });
  small.send(
    wire.subscribe(
      1,
      Array.from({ length: 40 }, (_, index) => ({ filter: `filter/${index}` })),
    ),
  );
  await small.expectDisconnect(0x95);
});
