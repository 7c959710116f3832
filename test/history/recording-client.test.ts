/** The recording client against a server that says what it is told. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import t from 'tap';
import { RawClient, type Owner, type Received } from '../support/raw-client.js';
import * as wire from '../support/wire.js';
import { checkHistory } from './checker.js';
import type { HistoryEvent } from './event.js';
import { MemoryHistory } from './history-writer.js';
import { RecordingClient, type RecordingClientOptions } from './recording-client.js';

/** The broker's end of the connections, one after the other. */
class Script {
  readonly port: number;
  readonly #sockets: Socket[] = [];
  readonly #version: 4 | 5;
  #wake: () => void = () => {};

  private constructor(server: Server, version: 4 | 5) {
    this.port = (server.address() as AddressInfo).port;
    this.#version = version;
    server.on('connection', (socket) => {
      this.#sockets.push(socket);
      this.#wake();
    });
  }

  static async start(owner: Owner, version: 4 | 5 = 5): Promise<Script> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    owner.teardown(() => server.close());
    return new Script(server, version);
  }

  /** The next connection, whose CONNECT has come. */
  async next(owner: Owner): Promise<RawClient> {
    if (this.#sockets.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    const socket = this.#sockets.shift();
    if (socket === undefined) throw new Error('no connection');
    owner.teardown(() => socket.destroy());
    const peer = new RawClient(
      {
        write: (bytes) => socket.write(bytes),
        end: () => socket.end(),
        destroy: () => socket.resetAndDestroy(),
      },
      { version: this.#version },
    );
    socket.on('data', (bytes) => peer.feed(bytes));
    socket.on('error', () => peer.closed());
    socket.on('close', () => peer.closed());
    await peer.expect('connect');
    return peer;
  }

  /** The next connection, accepted. */
  async accept(owner: Owner, present: boolean, properties: wire.Properties = {}): Promise<RawClient> {
    const peer = await this.next(owner);
    const tail = this.#version === 5 ? [wire.properties(properties)] : [];
    peer.send(wire.frame(0x20, wire.u8(present ? 1 : 0), wire.u8(0), ...tail));
    return peer;
  }
}

interface Rig {
  readonly script: Script;
  readonly client: RecordingClient;
  readonly history: MemoryHistory;
  /** Kinds of the events so far, `pub!` of something sent again as `pub!!`. */
  kinds(): string[];
}

async function rig(owner: Owner, changes: Partial<RecordingClientOptions> = {}): Promise<Rig> {
  const script = await Script.start(owner, changes.version ?? 5);
  const history = new MemoryHistory('r');
  const client = new RecordingClient({
    ...{ history, actor: 'c', publisher: 1, clientId: 'c', endpoint: { port: script.port } },
    ...{ keepAliveS: 0, reconnectMinMs: 1, ...changes },
  });
  owner.teardown(() => client.cut({ comeBack: false }));
  client.start();
  const kind = (event: HistoryEvent): string => (event.e === 'pub!' && event.dup ? 'pub!!' : event.e);
  return { script, client, history, kinds: () => history.events.map(kind) };
}

const idsOf = (packets: readonly Received[]): string[] =>
  packets.map(({ type, packetId, dup }) => `${type} ${packetId}${dup ? ' again' : ''}`);

const take = async (peer: RawClient, count: number): Promise<Received[]> => {
  const packets: Received[] = [];
  while (packets.length < count) packets.push(await peer.take('a packet', () => true));
  return packets;
};

t.test(
  'what was in flight is sent again in its order, with DUP and under its packet id, before anything new',
  async (t) => {
    const { script, client, kinds } = await rig(t);
    const first = await script.accept(t, false);
    const outcomes = [1, 2, 2].map((qos) => client.publish({ topic: 'a', qos: qos as 1 | 2 }));
    const [one, two, three] = await take(first, 3);
    first.ack('pubrec', two?.packetId ?? 0);
    t.same(idsOf(await take(first, 1)), [`pubrel ${two?.packetId}`]);
    first.destroy();
    await client.until(() => !client.connected);
    outcomes.push(client.publish({ topic: 'a', qos: 1 }));
    const second = await script.accept(t, true);
    const again = await take(second, 4);
    t.same(idsOf(again), [
      `publish ${one?.packetId} again`,
      `pubrel ${two?.packetId}`,
      `publish ${three?.packetId} again`,
      `publish ${again[3]?.packetId}`,
    ]);
    second.ack('puback', one?.packetId ?? 0);
    second.ack('pubcomp', two?.packetId ?? 0);
    second.ack('pubrec', three?.packetId ?? 0);
    second.ack('pubcomp', three?.packetId ?? 0);
    second.ack('puback', again[3]?.packetId ?? 0, 0x97);
    t.same(await Promise.all(outcomes), ['ok', 'ok', 'ok', 'fail']);
    t.same(kinds(), [
      ...['conn!', 'conn.', 'pub!', 'pub!', 'pub!', 'pub.', 'disc'],
      ...['conn!', 'conn.', 'pub!!', 'pub!!', 'pub!', 'pub.', 'pub.', 'pub.', 'pub.', 'pub.'],
    ]);
    t.same(client.faults, []);
  },
);

t.test('a refusal of what was sent twice is not certain', async (t) => {
  const { script, client } = await rig(t);
  const first = await script.accept(t, false);
  const outcome = client.publish({ topic: 'a', qos: 1 });
  const [packet] = await take(first, 1);
  first.destroy();
  const second = await script.accept(t, true);
  await take(second, 1);
  second.ack('puback', packet?.packetId ?? 0, 0x97);
  t.equal(await outcome, 'info');
});

t.test(
  'with a new session what was in flight is unknown for ever, and subscriptions are made again',
  async (t) => {
    const { script, client, history } = await rig(t);
    const first = await script.accept(t, false);
    const granted = client.subscribe('a', { qos: 1 });
    const [subscribe] = await take(first, 1);
    first.send(suback(subscribe));
    t.equal(await granted, 1);
    const outcome = client.publish({ topic: 'a', qos: 1 });
    const gone = client.unsubscribe('other');
    await take(first, 2);
    first.destroy();
    const second = await script.accept(t, false);
    t.equal(await outcome, 'info');
    t.equal(await gone, 0x11, 'there is nothing to unsubscribe from');
    const [again] = await take(second, 1);
    t.equal(again?.type, 'subscribe');
    const asked = history.events.filter(({ e }) => e === 'sub!');
    t.match(asked, [{ f: 'a' }, { f: 'a' }]);
  },
);

t.test('a SUBSCRIBE without an answer is sent again to a session that was resumed', async (t) => {
  const { script, client } = await rig(t);
  const first = await script.accept(t, false);
  const granted = client.subscribe('a', {
    qos: 2,
    noLocal: true,
    retainAsPublished: true,
    retainHandling: 2,
  });
  await take(first, 1);
  first.destroy();
  const second = await script.accept(t, true);
  const [subscribe] = await take(second, 1);
  t.equal(subscribe?.bytes.at(-1), 0b10_1110, 'with its options');
  second.send(suback(subscribe, 0x87));
  t.equal(await granted, 0x87);
});

t.test('no more is in flight than its own window and Receive Maximum allow', async (t) => {
  const { script, client } = await rig(t, { inflightMax: 3 });
  const first = await script.accept(t, false);
  for (let count = 0; count < 5; count++) void client.publish({ topic: 'a', qos: 1 });
  const packets = await take(first, 3);
  t.same(first.drain(), []);
  first.ack('puback', packets[0]?.packetId ?? 0);
  await take(first, 1);
  t.equal(client.pendingCount, 4);
  first.destroy();
  const second = await script.accept(t, true, { receiveMaximum: 1 });
  const [again] = await take(second, 1);
  t.same(second.drain(), []);
  second.ack('puback', again?.packetId ?? 0);
  t.same(idsOf(await take(second, 1)), [`publish ${packets[2]?.packetId} again`]);
});

t.test(
  'QoS 1 and 2 deliveries are recorded and then answered; QoS 2 repeated before PUBREL too',
  async (t) => {
    const seen: string[] = [];
    const { script, client, history } = await rig(t, {
      onMessage: (mid, topic) => seen.push(`${mid?.seq} ${topic}`),
    });
    const peer = await script.accept(t, false);
    const fields = { topic: 'a', payload: 'foreign', packetId: 5 };
    peer.send(
      wire.publish({ ...fields, qos: 0 }),
      wire.publish({ ...fields, qos: 1 }),
      wire.publish({ ...fields, qos: 2 }),
      wire.publish({ ...fields, qos: 2, dup: true }),
      wire.publish({ ...fields, qos: 0, payload: '', retain: true }),
      wire.ack('pubrel', 5),
    );
    t.same(idsOf(await take(peer, 4)), ['puback 5', 'pubrec 5', 'pubrec 5', 'pubcomp 5']);
    await client.until(() => history.events.some(({ e }) => e === 'rel'));
    t.match(history.events.slice(2), [
      { e: 'recv', m: null, q: 0, bytesOk: false, fault: 'foreign' },
      { e: 'recv', q: 1, pid: 5, dup: false },
      { e: 'recv', q: 2, pid: 5, dup: false },
      { e: 'recv', q: 2, pid: 5, dup: true },
      { e: 'recv', q: 0, empty: true, bytesOk: true, retain: true },
      { e: 'rel', pid: 5 },
    ]);
    t.equal(seen.length, 5);
  },
);

t.test('its own payload is recognised when it comes back', async (t) => {
  const { script, client, history } = await rig(t);
  const peer = await script.accept(t, false);
  void client.publish({ topic: 'a', qos: 0, paddingBytes: 300 });
  const [sent] = await take(peer, 1);
  const payload = sent?.payloadBytes ?? Buffer.alloc(0);
  peer.send(wire.publish({ topic: 'a', payload }), wire.publish({ topic: 'b', payload }));
  await client.until(() => history.events.length === 5);
  t.match(history.events.slice(3), [
    { e: 'recv', m: { pub: 1, seq: 0 }, topic: 'a', bytesOk: true },
    { e: 'recv', m: null, topic: 'b', bytesOk: false, fault: 'topic' },
  ]);
});

t.test('it comes back after every kind of end, and leaves for good when it is told', async (t) => {
  const { script, client, history } = await rig(t);
  const refused = await script.next(t);
  refused.send(wire.frame(0x20, wire.u8(0), wire.u8(0x88), wire.properties()));
  const told = await script.accept(t, false);
  told.send(wire.disconnect(0x8b));
  const closed = await script.accept(t, true);
  closed.end();
  const broken = await script.accept(t, true);
  broken.destroy();
  const silent = await script.next(t);
  silent.destroy();
  const last = await script.accept(t, true);
  await client.whenConnected();
  client.leave({ reasonCode: 4, expiryS: 7 });
  const disconnect = await last.expect('disconnect');
  t.equal(disconnect.reasonCode, 4);
  t.match(disconnect.properties, { sessionExpiryInterval: 7 });
  const ends = history.events.flatMap((event) => (event.e === 'disc' ? [`${event.by} ${event.rc}`] : []));
  // Whether a reset is seen as one is up to the network.
  const cut = /^(net|broker) undefined$/;
  t.match(ends, ['broker 136', 'broker 139', 'broker undefined', cut, cut, 'client 4']);
  t.equal(client.connected, false);
  t.same(client.faults, []);
});

t.test('a port where nobody listens leaves no trace, and it finds another one', async (t) => {
  const { script, client, kinds } = await rig(t, { endpoint: { port: 1 } });
  let asked = 0;
  await client.until(() => ++asked > 2);
  t.same(kinds(), []);
  client.moveTo({ port: script.port, node: 'n7' });
  await script.accept(t, false);
  await client.whenConnected();
  t.same(kinds(), ['conn!', 'conn.']);
});

t.test('CONNECT says what the history says', async (t) => {
  for (const version of [4, 5] as const) {
    const { script, client, history } = await rig(t, {
      ...{ version, clean: true, expiryS: 30, receiveMaximum: 9, username: 'u', password: 'p' },
      will: { topic: 'w', qos: 1, delayS: 3 },
    });
    const peer = await script.next(t);
    const [connect] = peer.received;
    const payload = connect?.bytes.subarray(-36 - 6, -6) ?? Buffer.alloc(0);
    t.ok(payload.includes('SPRH'), 'the will names its message');
    t.match(history.events, [
      {
        ...{ e: 'conn!', cid: 'c', node: 'n1', clean: true, expiry: version === 5 ? 30 : 0, v: version },
        will: { m: { pub: 1, seq: 0 }, topic: 'w', q: 1, retain: false, delay: version === 5 ? 3 : 0 },
      },
    ]);
    client.cut({ comeBack: false });
  }
});

t.test('a broker that is silent for 1.5 keep alives is gone', async (t) => {
  const { script, history, client } = await rig(t, { keepAliveS: 30 });
  const peer = await script.accept(t, false, { serverKeepAlive: 1 });
  await client.whenConnected();
  await peer.expect('pingreq');
  peer.send(wire.frame(0xd0));
  await client.until(() => !client.connected);
  t.match(history.events.at(-1), { e: 'disc', by: 'net' });
});

t.test('what a broker may not do is kept as a fault, and nothing is thrown', async (t) => {
  const { script, client } = await rig(t, { version: 4 });
  const early = await script.next(t);
  early.send(wire.frame(0xd0));
  await client.until(() => client.faults.length === 1);
  early.destroy();
  const peer = await script.accept(t, false);
  peer.ack('puback', 99);
  peer.send(wire.frame(0x90, wire.u16(3), wire.u8(0)), wire.connect({ version: 4 }));
  peer.send(wire.frame(0x36, wire.str('a'), wire.u16(1)));
  await client.until(() => !client.connected && client.faults.length === 5);
  t.match(client.faults, [
    /before CONNACK/,
    /puback.* in place of nothing/,
    /suback.* answers nothing/,
    /connect/,
    /QoS 3/,
  ]);
});

t.test('what it writes down is a history that the checker can read', async (t) => {
  const { script, client, history } = await rig(t);
  const peer = await script.accept(t, false);
  const granted = client.subscribe('a', { qos: 1 });
  const [subscribe] = await take(peer, 1);
  peer.send(suback(subscribe));
  await granted;
  const outcome = client.publish({ topic: 'a', qos: 1 });
  const [sent] = await take(peer, 1);
  peer.send(wire.publish({ topic: 'a', payload: sent?.payloadBytes ?? '', qos: 1, packetId: 1 }));
  peer.ack('puback', sent?.packetId ?? 0);
  await outcome;
  history.write('harness', { e: 'drain.' });
  const verdict = checkHistory(history.events, { settleMs: 0 });
  t.equal(verdict.kind, 'pass', verdict.reasons.join());
});

function suback(subscribe: Received | undefined, code = 1): Buffer {
  const packetId = subscribe?.bytes.readUInt16BE(2) ?? 0;
  return wire.frame(0x90, wire.u16(packetId), wire.properties(), wire.u8(code));
}
