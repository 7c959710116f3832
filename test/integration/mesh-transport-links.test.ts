/** What a link does while it is there, and how its end is noticed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { FRAME_MAX_BYTES } from '../../mesh/link/peer-link.js';
import {
  allLinked,
  Channel,
  type Cleaner,
  LOCAL,
  newSwarmKey,
  startBootstrap,
  startGateway,
  TestGateway,
} from './mesh-transport.js';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from './mesh-transport-net.js';

const NO_TCP = { host: LOCAL, tcpPort: undefined, udpPort: 0 };
const CHILD = fileURLToPath(new URL('./mesh-transport-child.js', import.meta.url));
const PATHS = ['tcp', 'udx'] as const;

async function pair(t: Cleaner, path: 'tcp' | 'udx'): Promise<[TestGateway, TestGateway]> {
  const swarmKey = newSwarmKey();
  const listen = path === 'tcp' ? { host: LOCAL, tcpPort: 0, udpPort: 0 } : NO_TCP;
  const a = await startGateway(t, { swarmKey, listen });
  const addresses = path === 'tcp' ? { kind: 'tcp' as const, ...a.tcp } : udpOf(a);
  const b = await startGateway(t, { swarmKey, listen, book: [{ id: a.id, addresses: [addresses] }] });
  await allLinked([a, b]);
  return [a, b];
}

function udpOf(gateway: TestGateway): { kind: 'udp'; host: string; port: number } {
  return { kind: 'udp', ...gateway.transport.addresses.udp };
}

test('where somebody who is hidden listens, nobody is told', async (t) => {
  const swarmKey = newSwarmKey();
  const a = await startGateway(t, { swarmKey, isHidden: true });
  const proxy = await TcpProxy.start(t, () => a.tcp);
  const b = await startGateway(t, { swarmKey, peers: [proxy.address] });
  await allLinked([a, b]);
  await eventually(() => a.book.length > 0 && b.book.length > 0);
  const way = { kind: 'tcp', ...proxy.address };
  t.same(b.book, [{ id: a.id, addresses: [way] }], 'how it was reached is all that is known');
  t.ok(
    a.book[0]?.addresses.some(({ kind, port }) => kind === 'tcp' && port === b.tcp.port),
    'who is not hidden is known',
  );
});

for (const path of PATHS) {
  test(`ten thousand frames arrive whole and in order by ${path}`, async (t) => {
    const [a, b] = await pair(t, path);
    const link = await a.linkTo(b, path);
    const sizes = [1, 0, 200, 4000, 70_000];
    b.keepsFrames = false;
    let count = 0;
    let wrong = 0;
    b.onFrame = ({ channel, frame }) => {
      const size = sizes[count % sizes.length] ?? 0;
      const isRight =
        frame.length === size + 4 && frame.readUInt32BE(0) === count && channel === Channel.forward;
      if (!isRight) wrong++;
      count++;
    };
    for (let index = 0; index < 10_000; index++) {
      const frame = Buffer.alloc(4 + (sizes[index % sizes.length] ?? 0), index);
      frame.writeUInt32BE(index, 0);
      if (link.send(Channel.forward, frame)) continue;
      const drains = a.drains;
      await a.until(() => a.drains > drains);
    }
    await b.until(() => count === 10_000);
    t.equal(wrong, 0);
    t.ok(a.drains > 0, 'the sender was told to wait, and to go on');
    t.equal(link.queuedBytes, 0);
  });

  test(`the largest frame passes by ${path}, a larger one ends the link`, async (t) => {
    const [a, b] = await pair(t, path);
    const link = await a.linkTo(b, path);
    link.send(Channel.retained, Buffer.alloc(FRAME_MAX_BYTES, 7));
    await b.until(() => b.frames.length > 0);
    t.equal(b.frames[0]?.frame.length, FRAME_MAX_BYTES);
    t.equal(link.send(Channel.retained, Buffer.alloc(FRAME_MAX_BYTES + 1)), false);
    await Promise.all([a.until(() => a.closed.length > 0), b.until(() => b.closed.length > 0)]);
    t.equal(a.closed[0]?.reason, 'a frame is larger than 1 MiB');
    t.equal(b.closed[0]?.reason, 'the other side closed: a frame is larger than 1 MiB');
  });

  test(`datagrams pass in both directions by ${path}`, async (t) => {
    const [a, b] = await pair(t, path);
    (await a.linkTo(b)).sendDatagram(Buffer.from('probe'));
    await b.until(() => b.datagrams.length > 0);
    (await b.linkTo(a)).sendDatagram(Buffer.alloc(1100, 'x'));
    await a.until(() => a.datagrams.length > 0);
    (await b.linkTo(a)).sendDatagram(Buffer.alloc(1101, 'y'));
    t.same([b.datagrams[0], a.datagrams[0]?.length], ['probe', 1100]);
  });

  test(`who closes a link says why, and both sides have a new one soon, by ${path}`, async (t) => {
    const [a, b] = await pair(t, path);
    const link = await a.linkTo(b);
    link.close('a test');
    t.equal(a.closed.length, 0, 'not from inside of close');
    t.equal(link.send(Channel.hello, Buffer.from('lost')), false);
    link.sendDatagram(Buffer.from('lost'));
    link.close('again');
    await Promise.all([a.until(() => a.closed.length > 0), b.until(() => b.closed.length > 0)]);
    t.equal(a.closed[0]?.reason, 'a test');
    t.equal(b.closed[0]?.reason, 'the other side closed: a test');
    await allLinked([a, b]);
    t.equal(a.closed.length, 1);
  });

  test(`a gateway that stops says so, by ${path}`, async (t) => {
    const [a, b] = await pair(t, path);
    const begin = performance.now();
    await a.transport.stop();
    await b.until(() => b.closed.length > 0);
    t.ok(performance.now() - begin < 2500);
    t.equal(b.closed[0]?.reason, 'the gateway stops');
    t.equal(b.statusOf(a)?.state, 'connecting');
  });

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    test(`${signal} of the other process is noticed within 2.5 s by ${path}`, async (t) => {
      const swarmKey = newSwarmKey();
      const { address } = await startBootstrap(t);
      const listen = path === 'tcp' ? { host: LOCAL, tcpPort: 0, udpPort: 0 } : NO_TCP;
      const a = await startGateway(t, { swarmKey, bootstrap: [address], listen });
      const other = await startChild(t, swarmKey.reveal(), address, path === 'tcp');
      await a.linkTo(other, path);
      const begin = performance.now();
      other.process.kill(signal);
      const closedBefore = a.closed.length;
      await a.until(() => a.closed.length > closedBefore);
      const took = performance.now() - begin;
      t.ok(took < 2600, `after ${Math.round(took)} ms: ${a.closed.at(-1)?.reason}`);
    });
  }
}

async function startChild(
  t: Cleaner,
  swarmKey: string,
  bootstrap: { host: string; port: number },
  hasTcp: boolean,
): Promise<{ process: ChildProcess; id: GatewayId }> {
  const settings = JSON.stringify({ swarmKey, bootstrap: [bootstrap], hasTcp });
  const child = spawn(...cleanCommand(process.execPath, [CHILD, settings]), {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: cleanEnvironment(),
  });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { id } = JSON.parse(line.toString()) as { id: GatewayId };
  return { process: child, id };
}

test('a peer that does not read loses its link before it has taken all memory', async (t) => {
  const swarmKey = newSwarmKey();
  const a = await startGateway(t, { swarmKey });
  const proxy = await TcpProxy.start(t, () => a.tcp);
  const b = await startGateway(t, { swarmKey, listen: NO_TCP, peers: [proxy.address] });
  await allLinked([a, b]);
  const link = await b.linkTo(a);
  proxy.freeze();
  const frame = Buffer.alloc(FRAME_MAX_BYTES);
  let sent = 0;
  while (b.closed.length === 0 && sent < 40) {
    link.send(Channel.forward, frame);
    sent++;
    await new Promise(setImmediate);
  }
  t.equal(b.closed[0]?.reason, 'more than 16 MiB wait for it');
  t.ok(sent <= 25, `after ${sent} MiB`);
});

test('when TCP is blocked the link comes back by UDP, and by TCP when it is open again', async (t) => {
  const swarmKey = newSwarmKey();
  const a = await startGateway(t, { swarmKey });
  const b = await startGateway(t, { swarmKey, listen: NO_TCP, peers: [a.tcp] });
  await b.linkTo(a, 'tcp');
  const udpPort = a.transport.addresses.udp.port;
  const { keyPair, tcp } = a;
  const aTcpPort = tcp.port;
  await a.transport.stop();
  const blocked = await startGateway(t, {
    swarmKey,
    keyPair,
    listen: { host: LOCAL, tcpPort: undefined, udpPort },
  });
  t.equal((await b.linkTo(blocked)).path, 'udx');
  await blocked.transport.stop();
  const open = await startGateway(t, {
    swarmKey,
    keyPair,
    listen: { host: LOCAL, tcpPort: aTcpPort, udpPort },
  });
  await b.linkTo(open, 'tcp');
  t.pass('TCP again');
});

test('connections of both sides at the same moment end in one link, the same on both ends, 50 times', async (t) => {
  const swarmKey = newSwarmKey();
  let duplicates = 0;
  for (let round = 0; round < 50; round++) {
    const [portA, portB] = [await freeTcpPort(), await freeTcpPort()];
    const a = new TestGateway({
      swarmKey,
      listen: { host: LOCAL, tcpPort: portA, udpPort: 0 },
      peers: [{ host: LOCAL, port: portB }],
    });
    const b = new TestGateway({
      swarmKey,
      listen: { host: LOCAL, tcpPort: portB, udpPort: 0 },
      peers: [{ host: LOCAL, port: portA }],
    });
    await Promise.all([a.transport.start(), b.transport.start()]);
    await allLinked([a, b]);
    // Both have dialled: the second connection is there, or still to come, and must not stay.
    await eventually(() => [a, b].every(({ transport }) => transport.status().seeds[0]?.id !== undefined));
    await eventually(() => [a, b].every(({ transport }) => transport.status().connections === 1));
    duplicates += a.opened.length + b.opened.length - 2;
    a.links.get(b.id)?.send(Channel.hello, Buffer.from(`a ${round}`));
    b.links.get(a.id)?.send(Channel.hello, Buffer.from(`b ${round}`));
    await Promise.all([a.until(() => a.frames.length > 0), b.until(() => b.frames.length > 0)]);
    if (a.links.size !== 1 || b.links.size !== 1) t.fail(`round ${round}`);
    await Promise.all([a.transport.stop(), b.transport.stop()]);
  }
  t.equal(duplicates, 0, 'no link was replaced');
});

function freeTcpPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, LOCAL, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
