import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { createHttpServer } from '../../../lib/http/index.js';
import { C, createCounters } from '../../../lib/telemetry/index.js';
import { parseExposition } from '../telemetry/exposition.js';
import { createView } from '../telemetry/view.js';
import { createOptions, startHttp } from './http-world.js';
import { ask, exchange, parseAnswer } from './raw-request.js';

const get = (port: number, path: string, host = `127.0.0.1:${port}`) =>
  ask(port, [`GET ${path} HTTP/1.1`, `Host: ${host}`]);

t.test('healthz says that the process lives, without looking at the sessions', async (t) => {
  const { port } = await startHttp(t, {
    view: () => {
      throw new Error('not wanted');
    },
    isReady: () => ({ ready: false, reasons: ['stopping'] }),
  });
  const answer = await get(port, '/healthz');
  t.equal(answer.status, 200);
  t.strictSame(JSON.parse(answer.body), { status: 'ok', version: '1.2.3' });
});

t.test('readyz is 200 when the gateway is ready, else 503 with the reasons', async (t) => {
  let readiness = { ready: true, reasons: [] as string[] };
  const { port } = await startHttp(t, { isReady: () => readiness });
  const ready = await get(port, '/readyz');
  t.equal(ready.status, 200);
  t.strictSame(JSON.parse(ready.body), { status: 'ready', reasons: [] });
  readiness = { ready: false, reasons: ['the gateway stops'] };
  const stopping = await get(port, '/readyz?verbose');
  t.equal(stopping.status, 503);
  t.strictSame(JSON.parse(stopping.body), { status: 'not_ready', reasons: ['the gateway stops'] });
});

t.test('metrics shows the counters and gauges of the moment', async (t) => {
  const counters = createCounters();
  let clientsConnected = 1;
  const { port } = await startHttp(t, { counters, view: () => createView({ clientsConnected }) });
  const first = await get(port, '/metrics');
  t.equal(first.status, 200);
  t.equal(first.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  t.equal(parseExposition(first.body).get('sprawl_clients_connected')?.samples[0]?.value, 1);
  counters.set([77], C.droppedQueueFull);
  clientsConnected = 2;
  const families = parseExposition((await get(port, '/metrics')).body);
  t.equal(families.get('sprawl_clients_connected')?.samples[0]?.value, 2);
  t.ok(
    families
      .get('sprawl_messages_dropped_total')
      ?.samples.some(({ labels, value }) => labels['reason'] === 'queue_full' && value === 77),
  );
});

t.test('the index names what there is', async (t) => {
  const { port } = await startHttp(t);
  const answer = await get(port, '/');
  t.equal(answer.status, 200);
  t.match(JSON.parse(answer.body), {
    name: 'sprawl-edge',
    version: '1.2.3',
    paths: { '/healthz': String, '/readyz': String, '/metrics': String },
  });
});

t.test('every answer may be neither stored nor guessed at, and sets no cookie', async (t) => {
  const { port } = await startHttp(t);
  const answers = [
    await get(port, '/healthz'),
    await get(port, '/metrics'),
    await get(port, '/nothing'),
    await get(port, '/healthz', 'evil.example'),
    await ask(port, ['POST / HTTP/1.1', 'Host: localhost']),
    parseAnswer(await exchange(port, 'rubbish\r\n\r\n')),
  ];
  t.strictSame(
    answers.map(({ status }) => status),
    [200, 200, 404, 403, 405, 400],
  );
  for (const { headers, body } of answers) {
    t.equal(headers['cache-control'], 'no-store');
    t.equal(headers['x-content-type-options'], 'nosniff');
    t.equal(headers['set-cookie'], undefined);
    t.equal(headers['content-length'], String(Buffer.byteLength(body)));
  }
});

t.test('HEAD is answered with the headers of GET alone', async (t) => {
  const { port } = await startHttp(t);
  for (const path of ['/healthz', '/metrics', '/nothing']) {
    const full = await get(port, path);
    const head = await ask(port, [`HEAD ${path} HTTP/1.1`, 'Host: localhost']);
    t.equal(head.status, full.status, path);
    t.equal(head.body, '', path);
    t.equal(head.headers['content-length'], full.headers['content-length'], path);
    t.equal(head.headers['content-type'], full.headers['content-type'], path);
  }
});

t.test('an unknown path is 404 in JSON, another method 405 with Allow', async (t) => {
  const { port } = await startHttp(t);
  for (const path of ['/nothing', '/metrics/', '/Metrics', '/../metrics', '//', '*', '/constructor']) {
    const answer = await get(port, path);
    t.equal(answer.status, 404, path);
    t.match(JSON.parse(answer.body), { error: 'not_found', message: String });
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH']) {
    const answer = await ask(port, [`${method} /metrics HTTP/1.1`, 'Host: localhost']);
    t.equal(answer.status, 405, method);
    t.equal(answer.headers['allow'], 'GET, HEAD', method);
    t.match(JSON.parse(answer.body), { error: 'method_not_allowed' });
  }
});

t.test('a body is refused, and the connection is closed rather than read to its end', async (t) => {
  const { port } = await startHttp(t);
  for (const head of [
    ['Content-Length: 1000000'],
    ['Transfer-Encoding: chunked'],
    ['Content-Length: 1000000', 'Expect: 100-continue'],
  ]) {
    const text = await exchange(
      port,
      `${['GET /healthz HTTP/1.1', 'Host: localhost', ...head].join('\r\n')}\r\n\r\n`,
    );
    const answer = parseAnswer(text);
    t.equal(answer.status, 413, head.join());
    t.equal(answer.headers['connection'], 'close');
    t.match(JSON.parse(answer.body), { error: 'body_not_taken' });
  }
  t.equal((await ask(port, ['GET /healthz HTTP/1.1', 'Host: localhost', 'Content-Length: 0'])).status, 200);
});

t.test('on loopback only names of loopback are answered', async (t) => {
  const { port, log } = await startHttp(t);
  for (const host of [
    'localhost',
    'LocalHost:8880',
    '127.0.0.1',
    '127.0.0.1:9',
    '127.1.2.3:80',
    '[::1]',
    '[::1]:80',
  ]) {
    t.equal((await get(port, '/healthz', host)).status, 200, host);
  }
  for (const host of [
    'evil.example',
    'evil.example:8880',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.evil.example',
    '[::2]',
    '192.168.1.1',
    '0.0.0.0',
    'localhost@evil.example',
    'localhost:80:80',
  ]) {
    const answer = await get(port, '/healthz', host);
    t.equal(answer.status, 403, host);
    t.match(JSON.parse(answer.body), { error: 'forbidden_host', message: /Host header.*localhost/ });
    t.notMatch(answer.body, 'evil');
  }
  t.match(log[0], /debug .*Host header.*evil\.example/);
});

t.test('HTTP/1.1 needs a Host header, HTTP/1.0 has none', async (t) => {
  const { port } = await startHttp(t);
  const without = await ask(port, ['GET /healthz HTTP/1.1']);
  t.equal(without.status, 400);
  t.match(JSON.parse(without.body), { error: 'bad_request' });
  t.equal((await ask(port, ['GET /healthz HTTP/1.1', 'Host: '])).status, 403);
  t.equal((await ask(port, ['GET /healthz HTTP/1.0'])).status, 200);
});

t.test('beyond loopback any Host is answered', async (t) => {
  const { port } = await startHttp(t, { host: '0.0.0.0' });
  t.equal((await get(port, '/healthz', 'gateway.example')).status, 200);
});

t.test('bytes that are no request are answered and closed, and others are served on', async (t) => {
  const { port } = await startHttp(t);
  const long = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(9000)}\r\n\r\n`;
  t.match(parseAnswer(await exchange(port, long)), { status: 431, body: /headers_too_large.*8192/ });
  const broken = 'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n';
  t.match(parseAnswer(await exchange(port, broken)), { status: 400, body: /bad_request/ });
  t.match(parseAnswer(await exchange(port, '\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\0\r\n\r\n')), { status: 400 });
  const reset = connect(port, '127.0.0.1');
  await once(reset, 'connect');
  reset.write('GET / HT');
  reset.resetAndDestroy();
  t.equal((await get(port, '/healthz')).status, 200);
});

t.test('a fault of ours is 500 and a line in the log; nothing of it reaches the client', async (t) => {
  const { port, log } = await startHttp(t, {
    view: () => {
      throw new Error('secret detail');
    },
  });
  const answer = await get(port, '/metrics');
  t.equal(answer.status, 500);
  t.match(JSON.parse(answer.body), { error: 'internal' });
  t.notMatch(answer.body, 'secret');
  t.match(log[0], /error .*secret detail/);
  t.equal((await get(port, '/healthz')).status, 200);
});

t.test('requests on one connection are answered in turn', async (t) => {
  const { port } = await startHttp(t);
  const text = await exchange(
    port,
    'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
  );
  t.strictSame(
    [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
    ['200', '404'],
  );
});

t.test('a port in use is LISTEN_FAILED with host, port and the way out', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  t.teardown(() => void holder.close());
  const address = holder.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  if (port === undefined) throw new Error('the holder has no port');
  const server = createHttpServer(createOptions({ port }));
  const error = await server.listen().catch((reason: unknown) => reason);
  if (!(error instanceof SprawlError)) throw error;
  t.match(error, { code: 'LISTEN_FAILED', kind: 'unavailable', details: { host: '127.0.0.1', port } });
  t.match(error.message, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is in use; .*ss -ltnp.*--http-port`));
  await server.close();
});

t.test('an address of another machine is LISTEN_FAILED with the way out', async (t) => {
  const server = createHttpServer(createOptions({ host: '192.0.2.1' }));
  await t.rejects(server.listen(), {
    code: 'LISTEN_FAILED',
    message: /192\.0\.2\.1, port 0: it is not an address of this machine: set http\.host/,
  });
});

t.test('the close ends idle connections and can be asked for twice', async (t) => {
  const { port, server } = await startHttp(t);
  const idle = connect(port, '127.0.0.1');
  idle.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(idle, 'data');
  const ended = once(idle, 'close');
  idle.resume();
  await Promise.all([server.close(), server.close(), ended]);
  await t.rejects(get(port, '/healthz'), { code: 'ECONNREFUSED' });
});

t.test('the close cuts a connection whose request does not end', async (t) => {
  const { port, server } = await startHttp(t);
  const slow = connect(port, '127.0.0.1');
  slow.write('GET /healthz HTTP/1.1\r\nHost:');
  await once(slow, 'connect');
  await get(port, '/healthz');
  slow.on('error', () => undefined);
  const ended = once(slow, 'close');
  await Promise.all([server.close(), ended]);
  t.ok(slow.destroyed);
});
