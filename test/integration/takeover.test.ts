import { setTimeout as sleep } from 'node:timers/promises';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import t from 'tap';
import { parseConfig } from '../../lib/config/index.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { createGateway } from '../../lib/gateway.js';
import { encodePacket, type ConnectPacket, type ProtocolVersion } from '../../lib/protocol/index.js';
import { COUNTER_NAMES, type CounterName, C } from '../../lib/telemetry/counters.js';

const CONTENDERS = 8;
const ROUNDS = 50;

const ignore = (): void => {};
const quiet: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => quiet,
};

function connectOf(clientId: string, version: ProtocolVersion, durable: boolean): Buffer {
  const packet: ConnectPacket = {
    type: 'connect',
    version,
    bridge: false,
    cleanStart: !durable,
    keepAlive: 0,
    clientId,
    properties: version === 5 && durable ? { sessionExpiryInterval: 60 } : {},
  };
  return encodePacket(packet, version);
}

/** Resolves when the gateway has ended the connection, or is content with it: nothing arrives for PINGREQ after the end. */
async function survives(socket: Socket): Promise<boolean> {
  if (socket.readableEnded || socket.destroyed) return false;
  const ended = once(socket, 'close').then(() => false);
  const answered = new Promise<boolean>((resolve) => {
    socket.on('data', (bytes: Buffer) => {
      if (bytes.includes(0xd0)) resolve(true);
    });
  });
  socket.write(Buffer.from([0xc0, 0x00]));
  return Promise.race([ended, answered]);
}

/** Aedes's registry, which its types do not show. */
function clientsOf(broker: object): string[] {
  return 'clients' in broker && typeof broker.clients === 'object' && broker.clients !== null
    ? Object.keys(broker.clients)
    : [];
}

t.test('eight CONNECTs of one id at once with a slow authenticate hook leave exactly one', async (t) => {
  const config = parseConfig({
    overrides: {
      dataDir: t.testdir(),
      listeners: { host: '127.0.0.1', mqttPort: 0, wsPort: false },
      http: { port: false },
      log: { level: 'silent' },
      security: { allowAnonymous: true },
    },
  });
  const gateway = await createGateway({ config, logger: quiet });
  let asked = 0;
  gateway.broker.authenticate = (_client, _username, _password, done) => {
    // Later ones are answered sooner now and then.
    setTimeout(() => done(null, true), (asked++ * 7) % 11);
  };
  await gateway.start();
  t.teardown(() => gateway.stop({ drainTimeoutMs: 0 }));
  const port = gateway.addresses['mqtt']?.port ?? 0;
  const counter = (name: CounterName): number => gateway.lanes.counters[C[name]] ?? 0;
  const disconnects = COUNTER_NAMES.filter((name) => name.startsWith('disconnected'));

  for (let round = 0; round < ROUNDS; round++) {
    const clientId = `contested-${round}`;
    const sockets: Socket[] = [];
    for (let i = 0; i < CONTENDERS; i++) {
      const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true });
      socket.on('error', ignore);
      socket.write(connectOf(clientId, i % 2 === 0 ? 4 : 5, (i + round) % 3 !== 0));
      sockets.push(socket);
    }
    const closed = (socket: Socket): Promise<unknown> =>
      socket.closed ? Promise.resolve() : once(socket, 'close');
    const losers = new Promise<void>((resolve) => {
      let count = 0;
      for (const socket of sockets) {
        socket.resume();
        void closed(socket).then(() => {
          if (++count === CONTENDERS - 1) resolve();
        });
      }
    });
    const inTime = await Promise.race([losers.then(() => true), sleep(5000, false, { ref: false })]);
    if (!inTime) t.fail(`round ${round}: seven of eight connections end`);
    const left = sockets.filter((socket) => !socket.closed);
    if (left.length !== 1) t.fail(`round ${round}: ${left.length} connections are left`);
    const [winner] = left;
    if (winner === undefined || !(await survives(winner)))
      t.fail(`round ${round}: the one that stays answers`);
    if (gateway.broker.connectedClients !== 1)
      t.fail(`round ${round}: connectedClients is ${gateway.broker.connectedClients}`);
    const clients = clientsOf(gateway.broker);
    if (clients.length !== 1 || clients[0] !== clientId)
      t.fail(`round ${round}: clients are ${clients.join()}`);
    if (gateway.lanes.connections.size !== 1)
      t.fail(`round ${round}: ${gateway.lanes.connections.size} connections`);
    const connected =
      counter('connectionsAccepted') - disconnects.reduce((sum, name) => sum + counter(name), 0);
    if (connected !== 1) t.fail(`round ${round}: the counters say ${connected}`);
    const gone = winner === undefined ? undefined : once(gateway.broker, 'clientDisconnect');
    winner?.destroy();
    await gone;
  }
  t.equal(counter('receivedConnect'), CONTENDERS * ROUNDS);
});
