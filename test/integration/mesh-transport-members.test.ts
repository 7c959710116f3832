/** Members that do not keep to the protocol, and what surrounds the transport: LAN, bootstrap node, ports in use. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import HyperDHT from 'hyperdht';
import { test } from 'tap';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { realClock, realTimers } from '../../lib/real-clock.js';
import type { SwarmKey } from '../../mesh/admission/swarm-key.js';
import { CONTROL_CHANNEL, encodeControl } from '../../mesh/transport/control.js';
import { FrameStream } from '../../mesh/transport/frame-stream.js';
import {
  createBootstrapNode,
  createMulticastPort,
  createTransport,
  type LanInterface,
  type LanPacket,
  type MulticastPort,
} from '../../mesh/transport/index.js';
import { LAN_INTERFACES_EVERY_MS } from '../../mesh/transport/limits.js';
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
import { UdxNode } from '../../mesh/transport/udx-node.js';
import { UnprovenGate } from '../../mesh/transport/unproven-gate.js';
import { freeUdpPort } from '../support/free-port.js';
import { nullLogger } from '../support/null-logger.js';
import { VirtualTime } from '../unit/mesh/transport/virtual-time.js';
import { eventually } from '../support/eventually.js';

/** Knows the swarm key, and says what it likes. */
class Rogue {
  readonly messages: Buffer[] = [];
  isClosed = false;
  hasProved = false;
  private constructor(
    readonly stream: FrameStream,
    readonly swarmKey: SwarmKey,
    readonly id: string,
  ) {
    stream.isProven = true;
    stream.on('error', () => {});
    stream.on('close', () => (this.isClosed = true));
    stream.on('data', (bytes: Buffer) => this.messages.push(Buffer.from(bytes)));
  }

  static async connect(
    gateway: TestGateway,
    swarmKey: SwarmKey,
    keyPair = HyperDHT.keyPair(),
  ): Promise<Rogue> {
    const socket = connect({ ...gateway.tcp, noDelay: true });
    socket.on('error', () => {});
    await once(socket, 'connect');
    const secured = await secureSocket(socket, {
      initiator: true,
      keyPair,
      preSharedKey: swarmKey.derive('transport tcp'),
      timers: realTimers,
    });
    if ('failure' in secured) throw new Error(secured.failure);
    const stream = new FrameStream(true, socket, { handshake: secured.keys, keepAlive: 1000 });
    return new Rogue(stream, swarmKey, gatewayIdOf(keyPair.publicKey));
  }

  prove(): void {
    this.hasProved = true;
    const { handshakeHash, publicKey } = this.stream;
    if (handshakeHash === null || publicKey === null) throw new Error('no handshake');
    this.stream.write(Buffer.from(this.swarmKey.proof('dialler', handshakeHash, publicKey)));
  }

  say(channel: number, bytes: Uint8Array): void {
    this.stream.write(Buffer.concat([Buffer.from([channel]), bytes]));
  }

  introduce(): void {
    const introduction = {
      datagramSecret: randomBytes(32),
      instance: randomBytes(78),
      tcpPort: 0,
      udpPort: 0,
      hosts: [],
    };
    this.say(CONTROL_CHANNEL, encodeControl({ kind: 'introduction', ...introduction }));
  }

  async closed(): Promise<void> {
    await eventually(() => this.isClosed);
  }
}

const FAULTS: Readonly<Record<string, (rogue: Rogue) => void>> = {
  'a wrong proof': (rogue) => {
    rogue.stream.write(randomBytes(32));
    rogue.introduce();
  },
  'a proof of the wrong length': (rogue) => {
    rogue.stream.write(randomBytes(31));
    rogue.introduce();
  },
  'a large message before the proof': (rogue) => void rogue.stream.write(randomBytes(600_000)),
  'a frame before the introduction': (rogue) => {
    rogue.prove();
    rogue.say(Channel.hello, Buffer.from('hello'));
  },
  'a control message that cannot be read': (rogue) => {
    rogue.prove();
    rogue.say(CONTROL_CHANNEL, Buffer.from([1, 1, 2]));
  },
  'a ping instead of the introduction': (rogue) => {
    rogue.prove();
    rogue.say(CONTROL_CHANNEL, encodeControl({ kind: 'ping', number: 1 }));
  },
};

for (const [name, misbehave] of Object.entries(FAULTS)) {
  test(`${name} ends the connection, and there was no link`, async (t) => {
    const swarmKey = newSwarmKey();
    const gateway = await startGateway(t, { swarmKey });
    const rogue = await Rogue.connect(gateway, swarmKey, lesserThan(gateway));
    misbehave(rogue);
    await rogue.closed();
    t.equal(gateway.opened.length, 0);
    if (!rogue.hasProved) t.ok(rogue.messages.length <= 1, 'it got the proof, and nothing else');
    await eventually(() => gateway.transport.status().connections === 0);
  });
}

const LATER_FAULTS: Readonly<Record<string, (rogue: Rogue) => void>> = {
  'a frame of more than 1 MiB': (rogue) => rogue.say(Channel.forward, Buffer.alloc(1_048_577)),
  'a message of 16 MB': (rogue) => rogue.say(Channel.forward, Buffer.alloc(16_000_000)),
  'an introduction that is cut': (rogue) => rogue.say(CONTROL_CHANNEL, Buffer.from([1, 1])),
};

for (const [name, misbehave] of Object.entries(LATER_FAULTS)) {
  test(`${name} ends a link`, async (t) => {
    const swarmKey = newSwarmKey();
    const gateway = await startGateway(t, { swarmKey });
    const rogue = await Rogue.connect(gateway, swarmKey, lesserThan(gateway));
    rogue.prove();
    rogue.introduce();
    await gateway.until(() => gateway.opened.length === 1);
    misbehave(rogue);
    await rogue.closed();
    await gateway.until(() => gateway.closed.length === 1);
    t.equal(gateway.frames.length, 0);
  });
}

test('what a newer version says on channels and in controls that are not known is passed over', async (t) => {
  const swarmKey = newSwarmKey();
  const gateway = await startGateway(t, { swarmKey });
  const rogue = await Rogue.connect(gateway, swarmKey, lesserThan(gateway));
  rogue.prove();
  rogue.introduce();
  await gateway.until(() => gateway.opened.length === 1);
  rogue.say(99, Buffer.from('news'));
  rogue.say(CONTROL_CHANNEL, Buffer.from([99]));
  rogue.say(CONTROL_CHANNEL, encodeControl({ kind: 'ping', number: 5 }));
  rogue.say(Channel.hello, Buffer.from('hello'));
  await gateway.until(() => gateway.frames.length === 1);
  t.equal(gateway.closed.length, 0);
});

test('who proves itself and is not chosen, or does not choose, is let go', async (t) => {
  const swarmKey = newSwarmKey();
  const gateway = await startGateway(t, { swarmKey });
  const rogue = await Rogue.connect(gateway, swarmKey, greaterThan(gateway));
  rogue.prove();
  rogue.introduce();
  await rogue.closed();
  t.equal(gateway.opened.length, 0);
});

function lesserThan(gateway: TestGateway): ReturnType<typeof HyperDHT.keyPair> {
  for (;;) {
    const keyPair = HyperDHT.keyPair();
    if (gatewayIdOf(keyPair.publicKey) < gateway.id) return keyPair;
  }
}

function greaterThan(gateway: TestGateway): ReturnType<typeof HyperDHT.keyPair> {
  for (;;) {
    const keyPair = HyperDHT.keyPair();
    if (gatewayIdOf(keyPair.publicKey) > gateway.id) return keyPair;
  }
}

test('gateways on one network find each other without anything', async (t) => {
  const swarmKey = newSwarmKey();
  const bus = createBus();
  const a = await startGateway(t, { swarmKey, lan: true, multicast: bus() });
  const b = await startGateway(t, { swarmKey, lan: true, multicast: bus() });
  await allLinked([a, b]);
  t.equal(a.links.get(b.id)?.path, 'tcp');
});

/** Multicast within the process. */
function createBus(): () => MulticastPort {
  const members = new Set<(packet: LanPacket, from: string) => void>();
  const send = (packet: LanPacket): void => {
    for (const onPacket of members) onPacket(packet, LOCAL);
  };
  return () => {
    let own: ((packet: LanPacket, from: string) => void) | undefined;
    return {
      open: async (onPacket) => void members.add((own = onPacket)),
      query: (name) => send({ questions: [name], texts: [] }),
      respond: (records) =>
        send({
          questions: [],
          texts: records.flatMap(({ name, data }) =>
            typeof data === 'string' ? [] : [{ name, texts: data }],
          ),
        }),
      close: async () => void (own !== undefined && members.delete(own)),
    };
  };
}

test('multicast DNS carries questions and texts from one socket to another of this machine', async (t) => {
  const [one, two] = [createMulticastPort(LOCAL, realTimers), createMulticastPort(LOCAL, realTimers)];
  const heard: LanPacket[] = [];
  await one.open(
    (packet) => void heard.push(packet),
    () => t.fail('the networks are the same'),
  );
  await two.open(
    () => {},
    () => {},
  );
  t.teardown(() => Promise.all([one.close(), two.close()]));
  const name = `${randomBytes(8).toString('hex')}._sprawl-edge._tcp.local`;
  two.query(name);
  two.respond([{ name: `x.${name}`, type: 'TXT', ttl: 1, data: ['k=1'] }]);
  await eventually(() => heard.some(({ questions }) => questions.includes(name)));
  await eventually(() => heard.some(({ texts }) => texts.some((text) => text.name === `x.${name}`)));
  t.match(heard.find(({ texts }) => texts.length > 0)?.texts, [{ texts: ['k=1'] }]);
});

test('what is said by multicast goes to the networks that are there now, and their coming is told', async (t) => {
  const time = new VirtualTime();
  let networks: LanInterface[] = [];
  const [one, two] = [createMulticastPort('0.0.0.0', time, () => networks), createMulticastPort(LOCAL, time)];
  let news = 0;
  const heard: string[] = [];
  await one.open(
    () => {},
    () => void news++,
  );
  await two.open(
    ({ questions }) => void heard.push(...questions),
    () => {},
  );
  t.teardown(() => Promise.all([one.close(), two.close()]));
  const names = ['before', 'with', 'after', 'again'].map(
    (when) => `${when}-${randomBytes(8).toString('hex')}`,
  );
  const [before = '', during = '', after = '', again = ''] = names;
  one.query(before);
  const turnTo = async (now: LanInterface[], told: number): Promise<void> => {
    networks = now;
    await time.advance(LAN_INTERFACES_EVERY_MS);
    await eventually(() => news === told);
  };
  await turnTo([{ name: 'lo', address: LOCAL }], 1);
  one.query(during);
  await eventually(() => heard.includes(during));
  await turnTo([], 2);
  one.query(after);
  await turnTo([{ name: 'lo', address: LOCAL }], 3);
  one.query(again);
  await eventually(() => heard.includes(again));
  t.same(
    heard.filter((name) => names.includes(name)),
    [during, again],
  );
  await time.advance(LAN_INTERFACES_EVERY_MS * 3);
  t.equal(news, 3, 'what stays is no news');
});

test('a port that is in use is said so, with what sets it, for TCP, UDP and the bootstrap node', async (t) => {
  const swarmKey = newSwarmKey();
  const gateway = await startGateway(t, { swarmKey });
  const { tcp, udp } = gateway.transport.addresses;
  const second = new TestGateway({ swarmKey, listen: { host: LOCAL, tcpPort: tcp?.port, udpPort: 0 } });
  await t.rejects(second.transport.start(), {
    code: 'LISTEN_FAILED',
    message: /\(TCP, mesh\.tcpPort\): another program uses this port/,
  });
  const third = new TestGateway({ swarmKey, listen: { host: LOCAL, tcpPort: 0, udpPort: udp.port } });
  await t.rejects(third.transport.start(), {
    code: 'LISTEN_FAILED',
    message: /\(UDP, mesh\.udpPort\): another program uses this port/,
  });
  const foreign = new TestGateway({ swarmKey, listen: { host: '192.0.2.1', tcpPort: 0, udpPort: 0 } });
  await t.rejects(foreign.transport.start(), {
    code: 'LISTEN_FAILED',
    message: /does not have this address/,
  });
  const node = createBootstrapNode({ host: LOCAL, port: udp.port, timers: realTimers });
  await t.rejects(node.start(), { code: 'LISTEN_FAILED', message: /\(UDP, --port\)/ });
  await Promise.all([second, third, foreign].map(({ transport }) => transport.stop()));
});

test('a bootstrap node has an address that gateways can reach, or is told why not', async (t) => {
  const create = (host: string, port: number) => createBootstrapNode({ host, port, timers: realTimers });
  t.throws(() => create('0.0.0.0', 4000), {
    code: 'BOOTSTRAP_ADDRESS_INVALID',
    message: /no address that gateways can reach/,
  });
  t.throws(() => create('gateway.local', 4000), {
    code: 'BOOTSTRAP_ADDRESS_INVALID',
    message: /no IPv4 address/,
  });
  t.throws(() => create(LOCAL, 0), { code: 'BOOTSTRAP_ADDRESS_INVALID', message: /no port/ });
  const node = create(LOCAL, await freeUdpPort());
  await node.stop();
  await node.start();
  t.equal(node.nodes, 0);
  await node.stop();
  await node.stop();
});

test('a bootstrap node is three nodes, which is enough to see what a router does', async (t) => {
  const { address } = await startBootstrap(t);
  const gateway = await startGateway(t, { swarmKey: newSwarmKey(), bootstrap: [address] });
  await eventually(() => gateway.transport.status().dht.nodes === 3);
  t.ok(gateway.transport.status().dht.isBootstrapped);
});

test('a gateway finds out that others reach it, though the table has a single node', async (t) => {
  const port = await freeUdpPort();
  const single = HyperDHT.bootstrapper(port, LOCAL, { host: LOCAL });
  t.teardown(() => single.destroy({ force: true }));
  await single.fullyBootstrapped();
  const swarmKey = newSwarmKey();
  const node = new UdxNode({
    ...{ host: LOCAL, port: 0, bootstrap: [{ host: LOCAL, port }], firewalled: undefined },
    ...{ keyPair: HyperDHT.keyPair(), prologue: swarmKey.derive('transport udx') },
    ...{ clock: realClock, timers: realTimers, logger: nullLogger, gate: new UnprovenGate(1, 1) },
    onStream: ({ stream }) => stream.destroy(),
  });
  t.teardown(() => node.stop());
  await node.start();
  t.ok(node.isFirewalled, 'it knows nothing yet');
  await node.announce(swarmKey.topic, () => {});
  await eventually(() => !node.isFirewalled);
  t.equal(node.nodes, 1);
});

test('nobody there, no address, and who is wanted meanwhile: the status says it', async (t) => {
  const swarmKey = newSwarmKey();
  const [lost, silent] = [new TestGateway({ swarmKey }), new TestGateway({ swarmKey })];
  const gateway = await startGateway(t, {
    swarmKey,
    book: [{ id: silent.id, addresses: [{ kind: 'tcp', host: LOCAL, port: 1 }] }],
    peers: [{ host: LOCAL, port: 1 }],
  });
  gateway.transport.wanted([lost.id, silent.id, gateway.id]);
  await eventually(() => gateway.statusOf(silent)?.lastFailure !== undefined);
  await eventually(() => gateway.statusOf(lost)?.lastFailure !== undefined);
  t.match(gateway.statusOf(lost), {
    state: 'connecting',
    lastFailure: 'no route: no address of it is known',
  });
  t.match(gateway.statusOf(silent), {
    state: 'connecting',
    lastFailure: 'refused: nothing listens at 127.0.0.1:1',
  });
  await eventually(() => gateway.transport.status().seeds[0]?.lastFailure !== undefined);
  t.match(gateway.transport.status().seeds, [
    { address: '127.0.0.1:1', id: undefined, lastFailure: /nothing listens/ },
  ]);
  t.equal(gateway.statusOf(gateway), undefined);
  await gateway.transport.stop();
  await gateway.transport.stop();
  t.ok(createTransport);
});

test('who is only said to be a member and never answers is forgotten', async (t) => {
  const swarmKey = newSwarmKey();
  const bus = createBus();
  const announcer = bus();
  const gateway = await startGateway(t, { swarmKey, lan: true, multicast: bus(), random: () => 0 });
  const names: string[] = [];
  await announcer.open(
    ({ questions }) => void names.push(...questions),
    () => {},
  );
  await eventually(() => names.length > 0);
  const ghost = new TestGateway({ swarmKey });
  const data = [`k=${ghost.id}`, 't=1', 'u=0'];
  announcer.respond([{ name: `x.${names[0]}`, type: 'TXT', ttl: 1, data }]);
  t.equal(gateway.statusOf(ghost)?.state, 'connecting');
  await eventually(() => gateway.statusOf(ghost) === undefined);
  t.equal(gateway.transport.status().peers.length, 0);
});
