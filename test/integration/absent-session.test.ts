/** What a session whose client is away holds: itself and the client of the embedder, and nothing of the connection that was. */
import { setTimeout as elapse } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Client } from 'aedes';
import t from 'tap';
import { doorOf } from '../../lib/broker/door-client.js';
import { RawClient } from '../support/raw-client.js';
import { next, startEmbedded } from './embedding.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const TRIES = 200;

for (const how of ['DISCONNECT', 'a line that breaks'])
  t.test(`after ${how} the connection can be collected, and the client stays`, async (t) => {
    const { aedes, port, server } = await startEmbedded(t, { sessionExpiryIntervalLimit: 100 });
    const addresses: string[] = [];
    server.on('connection', ({ remoteAddress }) => addresses.push(String(remoteAddress)));
    const expired = next(aedes, 'sessionExpired');
    const ready = next(aedes, 'clientReady');
    const raw = await RawClient.connect(t, port, {
      clientId: 'device',
      properties: { sessionExpiryInterval: 1 },
    });
    const [client] = (await ready) as [Client];
    const connection = new WeakRef(doorOf(client)?.connection ?? t);
    t.ok(connection.deref() !== t, 'it has one');
    const gone = next(aedes, 'clientDisconnect');
    if (how === 'DISCONNECT') await raw.disconnect();
    else raw.destroy();
    await gone;
    for (let tries = 0; connection.deref() !== undefined && tries < TRIES; tries++) {
      // The socket is closed, and the job that looked at the reference over.
      // eslint-disable-next-line no-await-in-loop
      await elapse(5);
      collect();
    }
    t.equal(connection.deref(), undefined);
    t.match(client, { id: 'device', connected: false, closed: true });
    t.ok(client.conn, 'what the embedder gave is still shown');
    t.equal((await expired)[0], client, 'the very client whose session it was');
    const refused = await new Promise<Error | null | undefined>((resolve) =>
      client.subscribe({ topic: 'a', qos: 0 }, resolve),
    );
    t.match(refused, { message: 'connection closed' });
    for (const end of ['close', 'disconnect'] as const) await new Promise<void>((done) => client[end](done));
  });
