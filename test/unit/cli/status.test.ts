import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import type { MeshPeer, MeshStatus } from '../../../lib/contracts/mesh-status.js';
import { statusOf } from '../../../lib/telemetry/status.js';
import { runHere } from '../../integration/cli-in-process.js';
import { createView } from '../telemetry/view.js';

const READY = { ready: true, reasons: [] };
type Changes = Parameters<typeof createView>[0];

async function told(
  changes: Changes,
  readiness = READY,
  diskBytes = 32e9,
  mesh?: MeshStatus,
  args: readonly string[] = [],
): Promise<{ code: number; out: string }> {
  const server = createServer(({ url }, response) => {
    const answer = url === '/mesh' ? mesh : statusOf(createView(changes), readiness, diskBytes, mesh);
    response.end(JSON.stringify(answer));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const { code, out } = await runHere(['status', '--url', `http://127.0.0.1:${port}`, ...args]);
  server.close();
  return { code: code ?? -1, out };
}

t.test('status says in words what a gateway says in numbers', async (t) => {
  const onDisk = { storageLevel: 'disk', uptimeS: 10_000 } as const;

  t.match((await told({ ...onDisk, deviceWrittenBytes: 4000 })).out, /lasts more than 100 years/);
  t.match((await told({ ...onDisk, deviceWrittenBytes: 8e9 })).out, /lasts about \d\.\d years/);
  t.match((await told({ ...onDisk, deviceWrittenBytes: 5e7 })).out, /lasts about \d\d years/);
  const early = await told({ ...onDisk, uptimeS: 60 });
  t.match(early.out, /up for 60 s[^]*^flash +not enough was written yet: after ten minutes it says/m);
  t.notMatch(early.out, /a day|byte of payload/);
  t.match(
    (await told(onDisk)).out,
    /a day at the rate since the start, \d\.\d\d bytes for each byte of payload/,
  );
  t.notMatch((await told({ ...onDisk, storagePayloadBytes: 1000 })).out, /byte of payload/);
  t.notMatch((await told({ ...onDisk, storagePayloadBytes: 0 })).out, /byte of payload/);
  t.match((await told({ ...onDisk, storageLostPositions: 3 })).out, /^lost +3 records/m);
  t.notMatch((await told({ ...onDisk, storageFreeBytes: 0 })).out, /of the disk are free/);
  t.match((await told({ ...onDisk, uptimeS: 500_000 })).out, /up for 5 days/);
  t.match((await told({ ...onDisk, uptimeS: 3000 })).out, /up for 50 min/);
  const memory = await told({ storageLevel: 'memory' });
  t.match(memory.out, /^durability +memory: nothing survives/m);
  t.notMatch(memory.out, /^log/m);
  const stuck = await told(onDisk, { ready: false, reasons: ['storage: no space'] } as never);
  t.match(stuck, { code: 1, out: /^state +not ready: storage: no space$/m });
});

t.test('a gateway is asked where its configuration says that it answers', async (t) => {
  const server = createServer((_, response) => {
    response.end(JSON.stringify(statusOf(createView({}), READY, 32e9)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const file = join(t.testdir(), 'edge.yaml');
  writeFileSync(file, `http:\n  port: ${port}\n`);
  t.match(await runHere(['status', '--config', file]), { code: 0, out: /^state +ready$/m });
  t.match(await runHere(['status'], '', { SPRAWL_HTTP__PORT: `${port}` }), { code: 0 });
  t.match(await runHere(['status', '--config', `${file}.old`]), { code: 2, err: /edge\.yaml\.old/ });
  for (const text of ['notaurl', '127.0.0.1:8880', 'mqtt://127.0.0.1:1883'])
    t.match(await runHere(['status', '-u', text]), {
      code: 2,
      err: `--url ${JSON.stringify(text)} is no address of HTTP: it takes http://HOST:PORT`,
    });
  t.match(await runHere(['status', '-u', `https://127.0.0.1:${port}`]), {
    code: 1,
    err: /^[^\n]*: what answers there speaks no TLS, and a gateway takes http:\/\/; [^\n]*\n$/,
  });
  const elsewhere = ['status', '--config', file, '--url', 'http://127.0.0.1:1'];
  t.match(await runHere(elsewhere), { code: 1, err: /no gateway answers at http:\/\/127\.0\.0\.1:1:/ });
});

const EPOCH = { counter: 1, nonce: 'ab'.repeat(8) };
const PEER: MeshPeer = {
  id: gatewayIdOf(new Uint8Array(32).fill(2)),
  site: 'mill',
  status: 'alive',
  epoch: EPOCH,
  path: 'tcp',
  remoteAddress: '10.0.0.7:4430',
  state: 'up',
  reason: null,
  rttMs: 1,
  pendingMessages: 3,
  pendingBytes: 2048,
  oldestUnackedMs: null,
  sentMessages: 0,
  ackedMessages: 0,
  receivedMessages: 0,
  refused: {},
  load: 0.25,
  health: [],
};
const MESH: MeshStatus = {
  self: {
    id: gatewayIdOf(new Uint8Array(32).fill(1)),
    site: 'harbour',
    epoch: EPOCH,
    version: '0.1.0',
    state: 'running',
    reason: null,
    addresses: [],
    load: 0.5,
    health: ['storage: no space'],
  },
  peers: [
    PEER,
    { ...PEER, status: 'suspect', state: 'stalled', health: ['storage: slow', 'memory'] },
    { ...PEER, site: '', status: 'dead', state: 'down', pendingMessages: 0, load: null },
    { ...PEER, status: 'left', state: 'down', pendingMessages: 0 },
  ],
};

t.test('status has its mesh in four lines, and all members where asked', async (t) => {
  const { out } = await told({}, READY, 32e9, MESH);
  t.match(out, /^mesh +harbour \(01010101\), running$/m);
  t.match(out, /^  members +2 alive, 1 suspect, 1 dead, 1 left$/m);
  t.match(out, /^  links +1 up, 1 stalled, 1 down$/m, 'not to one that has left');
  t.match(out, /^  waiting +6 messages for other gateways \(8\.0 KiB\)$/m);
  const away = { ...MESH, peers: [{ ...PEER, pendingBytes: 0 }] };
  t.match((await told({}, READY, 32e9, away)).out, /^  waiting +3 messages for other gateways$/m);
  t.notMatch(out, /^SITE/m);
  t.notMatch((await told({})).out, /^mesh/m);

  const all = (await told({}, READY, 32e9, MESH, ['--mesh'])).out;
  t.match(all, /^harbour +01010101 +alive +itself +50 % +storage: no space$/m);
  t.match(all, /^mill +02020202 +alive +up +25 % +well$/m);
  t.match(all, /^mill +02020202 +suspect +stalled +25 % +storage: slow; memory$/m);
  t.match(all, /^- +02020202 +dead +down +- +-$/m);
  t.match(all, /^mill +02020202 +left +down +25 % +-$/m);

  const json = JSON.parse((await told({}, READY, 32e9, MESH, ['--mesh', '--json'])).out) as {
    mesh: unknown;
    gateways: unknown[];
  };
  t.match(json.mesh, { members: { alive: 2 }, pendingMessages: 6 });
  t.equal(json.gateways.length, 5);
});

t.test('a mesh that was left is told of, and one of which nobody else is known', async (t) => {
  const self = { ...MESH.self, state: 'stopped', reason: 'it has left the mesh', load: null } as const;
  const { out } = await told({}, READY, 32e9, { self, peers: [] }, ['--mesh']);
  t.match(out, /^mesh +harbour \(01010101\), stopped: it has left the mesh$/m);
  t.match(out, /^  members +none$/m);
  t.match(out, /^  links +none$/m);
  t.match(out, /^harbour +01010101 +stopped +itself +- +-$/m);
});

t.test('what does not answer as a gateway does is named', async (t) => {
  const server = createServer((_request, response) => {
    response.statusCode = code;
    response.end('<html>');
  });
  let code = 404;
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  t.match(await runHere(['status', '-u', `http://127.0.0.1:${port}`]), { code: 1, err: /answered 404/ });
  code = 200;
  t.match(await runHere(['status', '-u', `http://127.0.0.1:${port}`]), { code: 1, err: /is no gateway$/m });
  server.close();
});
