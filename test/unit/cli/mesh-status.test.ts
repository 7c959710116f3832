import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import type { MeshPeer, MeshStatus } from '../../../lib/contracts/mesh-status.js';
import { urlOf } from '../../../lib/cli/gateway-http.js';
import { parseConfig } from '../../../lib/config/index.js';
import { runHere } from '../../integration/cli-in-process.js';

const EPOCH = { counter: 3, nonce: 'ab'.repeat(8) };
const UP: MeshPeer = {
  id: gatewayIdOf(new Uint8Array(32).fill(2)),
  site: 'greenhouse',
  status: 'alive',
  epoch: EPOCH,
  path: 'tcp',
  remoteAddress: '10.0.0.7:4430',
  state: 'up',
  reason: null,
  rttMs: 1.234,
  pendingMessages: 7,
  pendingBytes: 2048,
  oldestUnackedMs: 3000,
  sentMessages: 100,
  ackedMessages: 93,
  receivedMessages: 5,
  refused: { too_large: 2, acl: 0 },
  load: 0.25,
  health: [],
};
const STALLED: MeshPeer = {
  ...UP,
  id: gatewayIdOf(new Uint8Array(32).fill(3)),
  site: 'mill',
  status: 'suspect',
  path: null,
  remoteAddress: null,
  state: 'stalled',
  reason: 'nothing acknowledged for 12 s',
  rttMs: 120.4,
  pendingMessages: 0,
  pendingBytes: 0,
  oldestUnackedMs: null,
  refused: {},
  load: null,
};
const STATUS: MeshStatus = {
  self: {
    id: gatewayIdOf(new Uint8Array(32).fill(1)),
    site: 'harbour',
    epoch: EPOCH,
    version: '0.1.0',
    state: 'running',
    reason: null,
    addresses: ['10.0.0.5:4430'],
    load: 0.5,
    health: [],
  },
  peers: [UP],
};

async function serve(t: Test, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
async function serveStatus(t: Test, status: unknown): Promise<string> {
  return serve(t, (request, response) => {
    t.equal(request.url, '/mesh');
    response.end(JSON.stringify(status));
  });
}

t.test('a gateway is asked below the path of its URL, where a proxy has put it', async (t) => {
  const url = await serve(t, (request, response) => {
    t.equal(request.url, '/edge/mesh');
    response.end(JSON.stringify(STATUS));
  });
  for (const end of ['/edge', '/edge/']) t.match(await runHere(['peers', '-u', `${url}${end}`]), { code: 0 });
});

t.test('peers lists who is in the mesh', async (t) => {
  const url = await serveStatus(t, { ...STATUS, peers: [UP, STALLED] });
  const { code, out } = await runHere(['peers', '-u', url]);
  t.equal(code, 0);
  t.equal(
    out,
    `this gateway: harbour (01010101), sprawl-edge 0.1.0, running, listens on 10.0.0.5:4430

SITE        ID        STATUS   LINK     PATH  ADDRESS        RTT
greenhouse  02020202  alive    up       tcp   10.0.0.7:4430  1.2 ms
mill        03030303  suspect  stalled  -     -              120 ms  nothing acknowledged for 12 s
`,
  );
});

t.test('a gateway that is alone, or has stopped, says so', async (t) => {
  const self = { ...STATUS.self, state: 'stopped', reason: 'its identity is used twice', addresses: [] };
  const url = await serveStatus(t, { self, peers: [] });
  const { code, out } = await runHere(['peers', '--url', url]);
  t.equal(code, 0);
  t.match(
    out,
    /0\.1\.0, stopped: its identity is used twice, listens nowhere\n\nno other gateway has been met yet\n$/,
  );
  t.match(await runHere(['links', '--url', url]), { code: 0, out: 'no links\n' });
  const unmet = await serveStatus(t, { ...STATUS, peers: [{ ...STALLED, site: '' }] });
  for (const command of ['peers', 'links'])
    t.match(await runHere([command, '--url', unmet]), { out: /^- +03030303 /m });
});

t.test('links shows what waits, and fails where nothing moves', async (t) => {
  const moving = await serveStatus(t, STATUS);
  const { code, out } = await runHere(['links', '-u', moving]);
  t.equal(code, 0);
  t.equal(
    out,
    `SITE        ID        LINK  WAITING      OLDEST  SENT  ACKED  RECEIVED  REFUSED      LOAD
greenhouse  02020202  up    7 (2.0 KiB)  3 s     100   93     5         2 too_large  25 %
`,
  );
  const stalled = await serveStatus(t, { ...STATUS, peers: [UP, STALLED] });
  t.match(await runHere(['links', '-u', stalled]), {
    code: 1,
    out: /^mill +03030303 +stalled +0 \(0 bytes\) +- .* nothing acknowledged for 12 s$/m,
  });
  const away = await serveStatus(t, { ...STATUS, peers: [{ ...STALLED, pendingMessages: 2870 }] });
  t.match(await runHere(['links', '-u', away]), { out: /^mill +03030303 +stalled +2870 +- /m });
  const gone = { ...STALLED, state: 'down', status: 'left' };
  t.match(await runHere(['links', '-u', await serveStatus(t, { ...STATUS, peers: [gone] })]), { code: 0 });
});

t.test('programs get what the gateway said', async (t) => {
  const url = await serveStatus(t, STATUS);
  for (const command of ['peers', 'links'])
    t.same(JSON.parse((await runHere([command, '--json', '-u', url])).out), STATUS);
});

t.test('a gateway without a mesh, and what is no gateway, are named', async (t) => {
  const answers = (status: number, text: string): Promise<string> =>
    serve(t, (_request, response) => {
      response.statusCode = status;
      response.end(text);
    });
  const none = await answers(404, 'no');
  t.match(await runHere(['peers', '-u', none]), { code: 2, err: /is in no mesh: "sprawl-edge join"/ });
  t.match(await runHere(['peers', '-u', await answers(500, 'why\nmore')]), {
    code: 1,
    err: /answered 500: why\n$/,
  });
  t.match(await runHere(['links', '-u', await answers(503, '')]), { code: 1, err: /answered 503\n$/ });
  for (const text of ['', 'null', '{}', '{"self":{}}'])
    t.match(await runHere(['peers', '-u', await answers(200, text)]), {
      code: 1,
      err: /is no gateway of this/,
    });
  t.match(await runHere(['links', '-u', 'http://127.0.0.1:1']), {
    code: 1,
    err: /^sprawl-edge: no gateway answers at http:\/\/127\.0\.0\.1:1: .*\n$/,
  });
});

t.test('a gateway is asked where its configuration says', async (t) => {
  const url = (overrides: unknown): string => urlOf(parseConfig({ overrides }));
  t.equal(url({ http: { port: 9000 } }), 'http://127.0.0.1:9000');
  t.equal(url({ http: { host: '::1', port: 9000 } }), 'http://[::1]:9000');
  t.equal(url({ http: { host: '0.0.0.0', port: 9000 } }), 'http://127.0.0.1:9000');
  t.equal(url({ http: { port: 0 } }), 'http://127.0.0.1:8880');
  t.equal(url({ http: { port: false } }), 'http://127.0.0.1:8880');
});
