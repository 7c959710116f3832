import t from 'tap';
import { startTestGateway } from '../interop/gateway.js';
import { RawClient } from '../support/raw-client.js';

t.test('delivery.messageExpiryMaxS bounds how long a message waits, whatever it asked for', async (t) => {
  const gateway = await startTestGateway(t, { delivery: { messageExpiryMaxS: 2 } });
  const port = gateway.port('mqtt');
  const lasting = {
    version: 5,
    clientId: 'away',
    clean: false,
    properties: { sessionExpiryInterval: 60 },
  } as const;
  const first = await RawClient.connect(t, port, lasting);
  await first.subscribe('t', { qos: 1 });
  const publisher = await RawClient.connect(t, port, { version: 5 });
  await publisher.publish('t', 'live', { qos: 1 });
  const live = await first.expectPublish('t', 'live');
  await first.complete(live);
  t.ok([1, 2].includes(live.properties.messageExpiryInterval ?? 0));
  first.destroy();
  for (const [payload, messageExpiryInterval] of [
    ['none', undefined],
    ['long', 1000],
  ] as const) {
    const properties = messageExpiryInterval === undefined ? {} : { messageExpiryInterval };
    await publisher.publish('t', payload, { qos: 1, properties });
  }
  await publisher.publish('kept', 'r', { qos: 1, retain: true });
  await new Promise((resolve) => setTimeout(resolve, 2100));
  await publisher.publish('t', 'new', { qos: 1 });
  const back = await RawClient.connect(t, port, lasting);
  await back.expectPublish('t', 'new');
  const other = await RawClient.connect(t, port, { version: 5 });
  await other.subscribe('kept');
  await other.expectNothing();
});
