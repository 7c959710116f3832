/** What changes something may be asked for by programs on this machine alone, in a form that no web page can send. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import type { MeshStatus } from '../../../lib/contracts/mesh-status.js';
import type { MeshView } from '../../../lib/http/routes.js';
import { createMeshStatus } from '../telemetry/mesh-view.js';
import { startHttp } from './http-world.js';
import { ask, exchange, parseAnswer, type RawAnswer } from './raw-request.js';

const BINARY = 'Content-Type: application/octet-stream';

class FakeMesh implements MeshView {
  left = 0;
  readonly statements: string[] = [];
  readonly shown: MeshStatus = createMeshStatus();

  status(): MeshStatus {
    return this.shown;
  }

  leave(): Promise<void> {
    this.left++;
    return Promise.resolve();
  }

  takeStatement(statement: Uint8Array): boolean {
    const text = Buffer.from(statement).toString();
    if (text === 'rubbish') throw new Error('a roster of version 114');
    if (text === 'odd') throw 'odd'; // eslint-disable-line no-throw-literal
    this.statements.push(text);
    return text === 'news';
  }
}

function post(
  port: number,
  path: string,
  body: string,
  headers: readonly string[] = [BINARY],
): Promise<RawAnswer> {
  const head = [`POST ${path} HTTP/1.1`, 'Host: localhost', ...headers, `Content-Length: ${body.length}`];
  return ask(port, head, body);
}

const faultOf = ({ status, body }: RawAnswer): readonly [number, unknown] => [
  status,
  (JSON.parse(body) as { error: unknown }).error,
];

t.test('GET /mesh answers what the mesh says of itself', async (t) => {
  const mesh = new FakeMesh();
  const { port } = await startHttp(t, { mesh });
  const answer = await ask(port, ['GET /mesh HTTP/1.1', 'Host: localhost']);
  t.equal(answer.status, 200);
  t.same(JSON.parse(answer.body), mesh.shown);
  const index = await ask(port, ['GET / HTTP/1.1', 'Host: localhost']);
  t.match(JSON.parse(index.body), {
    paths: { '/mesh': String, '/mesh/leave': String, '/mesh/evict': String },
  });
});

t.test('metrics hold what the mesh says', async (t) => {
  const { port } = await startHttp(t, { mesh: new FakeMesh() });
  const answer = await ask(port, ['GET /metrics HTTP/1.1', 'Host: localhost']);
  t.match(answer.body, /^sprawl_mesh_members\{status="alive"\} 1$/m);
});

t.test('a gateway without a mesh has none of its paths', async (t) => {
  const { port } = await startHttp(t);
  for (const path of ['/mesh', '/mesh/leave', '/mesh/evict'])
    t.same(faultOf(await ask(port, [`GET ${path} HTTP/1.1`, 'Host: localhost'])), [404, 'not_found']);
  t.same(faultOf(await post(port, '/mesh/leave', '')), [404, 'not_found']);
});

t.test('leave and evict do what they say and are POST alone', async (t) => {
  const mesh = new FakeMesh();
  const { port } = await startHttp(t, { mesh });
  const left = await post(port, '/mesh/leave', '');
  t.same([left.status, JSON.parse(left.body)], [200, { left: true }]);
  const news = await post(port, '/mesh/evict', 'news');
  t.same([news.status, JSON.parse(news.body)], [200, { isNews: true }]);
  t.same(JSON.parse((await post(port, '/mesh/evict', 'known')).body), { isNews: false });
  t.same([mesh.left, mesh.statements], [1, ['news', 'known']]);
  for (const path of ['/mesh/leave', '/mesh/evict']) {
    const answer = await ask(port, [`GET ${path} HTTP/1.1`, 'Host: localhost']);
    t.same([answer.status, answer.headers['allow']], [405, 'POST']);
  }
  t.same(faultOf(await post(port, '/mesh', '')), [405, 'method_not_allowed']);
});

t.test('a statement that is none is the fault of whoever sent it', async (t) => {
  const { port, log } = await startHttp(t, { mesh: new FakeMesh() });
  const answer = await post(port, '/mesh/evict', 'rubbish');
  t.same(faultOf(answer), [400, 'bad_request']);
  t.match(answer.body, /a roster of version 114/);
  t.same(faultOf(await post(port, '/mesh/evict', 'odd')), [400, 'bad_request']);
  t.same(log, []);
});

t.test('another type than octet-stream, which a web page could send, is refused', async (t) => {
  const mesh = new FakeMesh();
  const { port } = await startHttp(t, { mesh });
  const types = [
    [],
    ['Content-Type: text/plain'],
    ['Content-Type: application/x-www-form-urlencoded'],
    ['Content-Type: application/json'],
    [`${BINARY}; charset=utf-8`],
  ];
  for (const headers of types)
    for (const path of ['/mesh/leave', '/mesh/evict'])
      t.same(faultOf(await post(port, path, '', headers)), [415, 'content_type'], headers.join());
  const rebound = ['POST /mesh/leave HTTP/1.1', 'Host: evil.example', BINARY, 'Content-Length: 0'];
  t.same(faultOf(await ask(port, rebound)), [403, 'forbidden_host']);
  t.equal(mesh.left, 0);
});

t.test('a body that is larger than it may be is refused, however its length is told', async (t) => {
  const mesh = new FakeMesh();
  const { port } = await startHttp(t, { mesh });
  t.same(faultOf(await post(port, '/mesh/leave', 'x')), [413, 'body_not_taken']);
  t.equal((await post(port, '/mesh/evict', 'y'.repeat(4096))).status, 200);
  t.same(faultOf(await post(port, '/mesh/evict', 'y'.repeat(4097))), [413, 'body_not_taken']);
  const head = ['POST /mesh/evict HTTP/1.1', 'Host: localhost', BINARY, 'Transfer-Encoding: chunked'];
  t.same(faultOf(await ask(port, head, `1388\r\n${'z'.repeat(5000)}\r\n0\r\n\r\n`)), [413, 'body_not_taken']);
  t.equal((await ask(port, head, '4\r\nnews\r\n0\r\n\r\n')).status, 200);
  t.same([mesh.left, mesh.statements.length], [0, 2]);
});

t.test('who goes before its body is here is no bug of the gateway', async (t) => {
  const mesh = new FakeMesh();
  const { port, log } = await startHttp(t, { mesh });
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`POST /mesh/evict HTTP/1.1\r\nHost: localhost\r\n${BINARY}\r\nContent-Length: 10\r\n\r\nnew`);
  // Its answer tells that the listener has seen what came before it.
  const seen = (): Promise<RawAnswer> => ask(port, ['GET /healthz HTTP/1.1', 'Host: localhost']);
  await seen();
  socket.destroy();
  await once(socket, 'close');
  await seen();
  await setImmediate();
  t.same(
    log.filter((line) => line.startsWith('error')),
    [],
  );
  t.same(mesh.statements, []);
});

t.test('a name that leads to this machine changes nothing, wherever it listens', async (t) => {
  const mesh = new FakeMesh();
  const { port } = await startHttp(t, { mesh, host: '0.0.0.0' });
  const rebound = (path: string): Promise<RawAnswer> =>
    ask(port, [`POST ${path} HTTP/1.1`, 'Host: evil.example', BINARY, 'Content-Length: 0']);
  for (const path of ['/mesh/leave', '/mesh/evict', '/api/v1/archive/finish'])
    t.same(faultOf(await rebound(path)), [403, 'not_local'], path);
  t.same([mesh.left, mesh.statements], [0, []]);
  t.equal((await ask(port, ['GET /mesh HTTP/1.1', 'Host: evil.example'])).status, 200, 'it may be read');
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address;

t.test(
  'who asks from another machine may read and change nothing',
  { skip: outside === undefined },
  async (t) => {
    const mesh = new FakeMesh();
    const { port } = await startHttp(t, { mesh, host: '0.0.0.0' });
    const from = async (path: string, method: string): Promise<RawAnswer> =>
      parseAnswer(
        await exchange(
          port,
          `${method} ${path} HTTP/1.1\r\nHost: x\r\n${BINARY}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
          outside,
        ),
      );
    t.equal((await from('/mesh', 'GET')).status, 200);
    for (const path of ['/mesh/leave', '/mesh/evict'])
      t.same(faultOf(await from(path, 'POST')), [403, 'not_local']);
    t.same([mesh.left, mesh.statements], [0, []]);
    t.equal((await post(port, '/mesh/leave', '')).status, 200, 'and from this one it may');
  },
);
