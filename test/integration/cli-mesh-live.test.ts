/** A mesh of real processes, made and looked at with the commands alone: init, join, peers, links, leave, evict, bootstrap. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { MeshStatus } from '../../lib/contracts/mesh-status.js';
import { RawClient } from '../support/raw-client.js';
import { freeUdpPort } from '../support/free-port.js';
import { runHere } from './cli-in-process.js';
import { CliProcess } from './cli-process.js';

const ANY_PORTS = ['--mqtt-port', '0', '--ws-port', 'false', '--http-port', '0'];
const ANY_MESH_PORTS = ['tcpPort=0', 'udpPort=0', 'lan=false'].flatMap((key) => ['--set', `mesh.${key}`]);
const STATES = '$SYS/broker/connection/+/state';

interface Gateway {
  readonly process: CliProcess;
  readonly dataDir: string;
  readonly mqttPort: number;
  readonly url: string;
  readonly httpPort: string;
  /** Of its mesh, TCP. */
  readonly address: string;
}

interface Keys {
  readonly swarmKey: string;
  readonly adminKey: string;
}

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'sprawl-cli-live-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return join(made, 'data');
}

async function initialised(dataDir: string, site: string): Promise<Keys> {
  const { out } = await runHere(['init', '--data-dir', dataDir, '--site', site]);
  return {
    swarmKey: /^ {4}(sprawl1\w+)$/m.exec(out)?.[1] ?? '',
    adminKey: /^ {4}(sprawladmin1\w+)$/m.exec(out)?.[1] ?? '',
  };
}

async function running(t: Test, dataDir: string, args: readonly string[], input = ''): Promise<Gateway> {
  const [command = 'up', ...rest] = args;
  // What puts a mesh together from sockets, files and timers is not to be had in one process.
  const all = [command, '--data-dir', dataDir, ...rest, ...ANY_PORTS, ...ANY_MESH_PORTS];
  const process = new CliProcess(all, {}, { isCovered: true });
  t.teardown(() => process.kill());
  process.child.stdin.end(input);
  await process.told('err', ' ready ');
  const portOf = (listener: string): string =>
    new RegExp(`listener=${listener} host=\\S+ port=(\\d+)`).exec(process.err)?.[1] ?? '';
  return {
    ...{ process, dataDir, mqttPort: Number(portOf('mqtt')), httpPort: portOf('http') },
    url: `http://127.0.0.1:${portOf('http')}`,
    address: / tcp=(\S+)/.exec(process.err)?.[1] ?? '',
  };
}

/** Two that have a link. @param found what the second one is told of the first one @param both arguments of both */
async function two(
  t: Test,
  found: (first: Gateway) => readonly string[],
  both: readonly string[] = ['--bootstrap', 'none'],
): Promise<{ harbour: Gateway; mill: Gateway; keys: Keys; states: RawClient; topic: string }> {
  const dataDir = folder(t);
  const keys = await initialised(dataDir, 'harbour');
  const harbour = await running(t, dataDir, ['up', ...both]);
  const states = await RawClient.connect(t, harbour.mqttPort, { version: 5, timeoutMs: 15_000 });
  await states.subscribe(STATES);
  const joining = ['join', '-', '--site', 'mill', ...found(harbour), ...both];
  const mill = await running(t, folder(t), joining, keys.swarmKey);
  const topic = await untilState(states, '1');
  // One that was made twice may be replaced once more, and the two do not see it in the same moment.
  for (const gateway of [harbour, mill]) await untilUp(gateway);
  return { harbour, mill, keys, states, topic };
}

async function untilUp(gateway: Gateway): Promise<void> {
  while ((await meshOf(gateway)).peers[0]?.state !== 'up') await sleep(20);
}

/** @returns the topic that says so */
async function untilState(client: RawClient, state: string): Promise<string> {
  for (;;) {
    const packet = await client.expect('publish');
    if (packet.type === 'publish' && Buffer.from(packet.payload).toString() === state) return packet.topic;
  }
}

async function meshOf({ url }: Gateway): Promise<MeshStatus> {
  return (await (await fetch(`${url}/mesh`)).json()) as MeshStatus;
}

t.setTimeout(90_000);

t.test('two gateways become one, are seen as one, and part again', async (t) => {
  const { harbour, mill, states, topic } = await two(t, ({ address }) => ['--peer', address]);
  const id = (await meshOf(mill)).self.id;
  t.equal(topic, `$SYS/broker/connection/mill.${id.slice(0, 8)}/state`);

  t.match(await runHere(['peers', '--url', harbour.url]), {
    code: 0,
    out: new RegExp(
      `this gateway: harbour .* running, listens on .*\\n[^]*mill +${id.slice(0, 8)} +alive +up +tcp`,
    ),
  });
  const { peers } = JSON.parse((await runHere(['peers', '--json', '--url', harbour.url])).out) as MeshStatus;
  t.match(peers, [{ id, site: 'mill', status: 'alive', state: 'up', path: 'tcp', reason: null }]);
  t.match(await runHere(['links', '--url', mill.url]), { code: 0, out: /harbour +\S+ +up +0 \(0 bytes\)/ });

  const subscriber = await RawClient.connect(t, mill.mqttPort, { version: 5 });
  await subscriber.subscribe('site/#', { qos: 1 });
  const publisher = await RawClient.connect(t, harbour.mqttPort, { version: 5 });
  await publisher.publish('site/x', 'across', { qos: 1 });
  await subscriber.complete(await subscriber.expectPublish('site/x', 'across'));
  t.match(await meshOf(mill), {
    peers: [{ receivedMessages: 1 }],
    dialled: [{ id: (await meshOf(harbour)).self.id, reason: null }],
  });

  t.match(await runHere(['leave', '--url', mill.url]), { code: 0, out: /its clients are served on/ });
  t.equal(await untilState(states, '0'), topic);
  t.match((await meshOf(mill)).self, { state: 'stopped', reason: 'it has left the mesh' });
  t.match(await meshOf(harbour), {
    peers: [{ id, status: 'left', state: 'down', reason: /^it has left the mesh for good/ }],
  });
  t.match(await runHere(['links', '--url', harbour.url]), { code: 0 }, 'who has left is no fault of a link');
  const local = await RawClient.connect(t, mill.mqttPort, { version: 5 });
  await local.publish('site/x', 'at home', { qos: 1 });
  await subscriber.expectPublish('site/x', 'at home');

  mill.process.child.kill('SIGTERM');
  t.equal((await mill.process.ended).code, 0);
  const alone = await running(t, mill.dataDir, ['up']);
  t.match(await runHere(['peers', '--url', alone.url]), { code: 2, err: /is in no mesh/ });
});

t.test('who dials with another swarm key is told so', async (t) => {
  const dataDir = folder(t);
  await initialised(dataDir, 'harbour');
  const harbour = await running(t, dataDir, ['up', '--bootstrap', 'none']);
  const other = folder(t);
  await initialised(other, 'stranger');
  const stranger = await running(t, other, ['up', '--bootstrap', 'none', '--peer', harbour.address]);
  await stranger.process.told('err', 'no member of this mesh answers at an address of mesh.peers');
  const reason = 'refused: the other side does not know this swarm key';
  t.match(await runHere(['peers', '--url', stranger.url]), {
    code: 0,
    out: new RegExp(
      `no other gateway has been met yet\n\nmesh.peers: no member of this mesh answers at ${harbour.address}: ${reason}`,
    ),
  });
  t.match(await meshOf(stranger), { peers: [], dialled: [{ address: harbour.address, id: null }] });
  t.match(await meshOf(harbour), { peers: [], dialled: [] });
});

t.test('an evicted gateway is told why, takes part no more, and knows that after a restart', async (t) => {
  const {
    harbour,
    mill,
    keys,
    states: linksOfHarbour,
    topic,
  } = await two(t, ({ address }) => ['--peer', address]);
  const { id } = (await meshOf(mill)).self;
  const states = await RawClient.connect(t, mill.mqttPort, { version: 5 });
  await states.subscribe(STATES);
  await untilState(states, '1');
  const evict = ['evict', id, '--reason', 'stolen in June', '--data-dir', harbour.dataDir];
  t.match(await runHere([...evict, '--set', `http.port=${harbour.httpPort}`], keys.adminKey), {
    code: 0,
    out: `evicted ${id.slice(0, 8)} (${id}): the others are being told\n`,
  });
  await untilState(states, '0');
  t.match((await meshOf(mill)).self, {
    state: 'stopped',
    reason: /evicted from the mesh \(stolen in June\)/,
    addresses: [],
  });
  t.notOk((await meshOf(harbour)).peers.some(({ state }) => state === 'up'));
  t.equal(await untilState(linksOfHarbour, '0'), topic, 'under the name that it had');

  mill.process.child.kill('SIGTERM');
  t.equal((await mill.process.ended).code, 0);
  const again = await running(t, mill.dataDir, ['up', '--bootstrap', 'none', '--peer', harbour.address]);
  t.match((await meshOf(again)).self, { state: 'stopped', reason: /evicted/, addresses: [] });
  t.match(await runHere(['links', '--url', again.url]), {
    code: 1,
    out: / down .* this gateway was evicted from the mesh \(stolen in June\): its own clients/,
  });
  t.match(await runHere(['doctor', '--data-dir', mill.dataDir, '--bootstrap', 'none', ...ANY_PORTS]), {
    out: / mesh +gateway \w+ was evicted from the mesh \(stolen in June\)/,
  });
  again.process.child.kill('SIGTERM');
  t.equal((await again.process.ended).code, 0);
});

t.test('a gateway that is called otherwise has another topic, and the former one is removed', async (t) => {
  const { harbour, mill, states, topic } = await two(t, ({ address }) => ['--peer', address]);
  mill.process.child.kill('SIGTERM');
  t.equal((await mill.process.ended).code, 0);
  await running(t, mill.dataDir, [
    'up',
    '--site',
    'quarry',
    '--bootstrap',
    'none',
    '--peer',
    harbour.address,
  ]);
  t.equal(await untilState(states, ''), topic);
  t.equal(await untilState(states, '1'), topic.replace('/mill.', '/quarry.'));
});

t.test('gateways of a closed network find each other through the bootstrap command alone', async (t) => {
  const node = new CliProcess(['bootstrap', '--host', '127.0.0.1', '--port', `${await freeUdpPort()}`]);
  t.teardown(() => node.kill());
  await node.told('out', '(UDP)');
  const [, address = ''] = /--bootstrap (127\.0\.0\.1:\d+) /.exec(node.out) ?? [];
  const { harbour, mill } = await two(t, () => [], ['--bootstrap', address, '--set', 'mesh.tcpPort=false']);
  t.match(await meshOf(harbour), { peers: [{ site: 'mill', status: 'alive' }] });
  t.match(await meshOf(mill), { peers: [{ site: 'harbour', status: 'alive' }] });
  node.child.kill('SIGTERM');
  t.equal((await node.ended).code, 0);
});
