/** Archived messages over HTTP: what is asked for, who is answered, and when reading ends. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { archiveMessages } from '../../../lib/archive-tools.js';
import { SprawlError } from '../../../lib/contracts/errors.js';
import type { FinishBegun } from '../../../lib/http/archive-routes.js';
import type { ArchiveQuery, ArchiveView, LogQuery } from '../../../lib/http/index.js';
import { ArchiveWorld, rowsOf, START_MS } from '../../support/archive-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';
import { startHttp } from './http-world.js';
import { ask, exchange, type RawAnswer } from './raw-request.js';

const PATH = '/api/v1/archive/messages';
const LOG_PATH = '/api/v1/archive/log';
const get = (port: number, query = '', host = 'localhost', method = 'GET', path = PATH): Promise<RawAnswer> =>
  ask(port, [`${method} ${path}${query} HTTP/1.1`, `Host: ${host}`]);
const getLog = (port: number, query = '', host = 'localhost'): Promise<RawAnswer> =>
  get(port, query, host, 'GET', LOG_PATH);

const noStatus = (): never => {
  throw new Error('nobody asks for it here');
};
const noLog = noStatus;

/** An archive that hands out what a test tells it to. */
class FakeArchive implements ArchiveView {
  readonly logAsked: LogQuery[] = [];

  readonly asked: ArchiveQuery[] = [];
  readonly ended: string[] = [];
  /** Awaited before each part behind the first. */
  next: () => Promise<void> = () => Promise.resolve();
  fault: unknown;

  constructor(
    readonly parts: number,
    readonly partBytes = 10,
  ) {}

  readonly status = noStatus;
  readonly finish = noStatus;

  log(query: LogQuery): AsyncGenerator<Uint8Array> {
    this.logAsked.push(query);
    return this.#hand(query);
  }

  messages(query: ArchiveQuery): AsyncGenerator<Uint8Array> {
    this.asked.push(query);
    return this.#hand(query);
  }

  async *#hand({ signal }: { readonly signal: AbortSignal }): AsyncGenerator<Uint8Array> {
    try {
      for (let n = 0; n < this.parts; n++) {
        if (n > 0) await this.next();
        signal.throwIfAborted();
        yield Buffer.alloc(this.partBytes, `${n}\n`);
      }
      if (this.fault !== undefined) throw this.fault;
    } finally {
      this.ended.push(signal.aborted ? 'gone' : 'done');
    }
  }
}

/** The text of a chunked body. */
function bodyOf({ body }: RawAnswer): { text: string; isWhole: boolean } {
  let [text, at] = ['', 0];
  for (;;) {
    const end = body.indexOf('\r\n', at);
    if (end < 0) return { text, isWhole: false };
    const length = parseInt(body.slice(at, end), 16);
    if (length === 0) return { text, isWhole: true };
    text += body.slice(end + 2, end + 2 + length);
    at = end + 4 + length;
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setImmediate();
}

async function storeWith(t: Test): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  await new ArchiveWorld(t, store).cut(9, rowsOf(1, 9));
  return store;
}

t.test('messages of an archive come as lines of JSON', async (t) => {
  const store = await storeWith(t);
  const { port } = await startHttp(t, {
    archive: {
      status: noStatus,
      log: noLog,
      finish: noStatus,
      messages: (query) => archiveMessages(store, query),
    },
  });
  const answer = await get(port);
  t.equal(answer.status, 200);
  t.match(answer.headers, {
    'content-type': 'application/x-ndjson; charset=utf-8',
    'cache-control': 'no-store',
  });
  t.equal(answer.headers['content-length'], undefined);
  const { text, isWhole } = bodyOf(answer);
  t.equal(isWhole, true);
  t.equal(text.trim().split('\n').length, 9);
  const some = bodyOf(await get(port, '?topic=site/b&topic=site/%2B&from=2026-11-29T00:00:04&limit=2')).text;
  const sequences = some
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { sequence: number }).sequence);
  t.same(sequences, [6, 9]);
  t.same(bodyOf(await get(port, '?to=2026-11-28')), { text: '', isWhole: true });
});

t.test('a query is understood, or refused with what it may be', async (t) => {
  const archive = new FakeArchive(1);
  const { port } = await startHttp(t, { archive });
  await get(port, '?topic=a/%23&from=2026-11-29&to=now&origin=AB&limit=7');
  t.match(archive.asked, [{ filters: ['a/#'], fromMs: START_MS, origins: ['ab'], limit: 7 }]);
  await get(port);
  t.match(archive.asked[1], { filters: [], fromMs: -Infinity, toMs: Infinity, origins: [], limit: 10_000 });
  const cases: readonly (readonly [string, RegExp])[] = [
    ['?topics=a', /this path takes topic, from, to, origin, limit/],
    ['?topic=a/%23/b', /topic is a topic filter/],
    ['?from=yesterday', /from and to are a time of ISO 8601/],
    ['?from=-1h&to=-2h', /from is not before to/],
    ['?limit=0', /limit is a whole number from 1 on/],
    ['?limit=1e3', /limit is a whole number/],
    ['?origin=x', /origin is the beginning of an id/],
  ];
  for (const [query, message] of cases) {
    const { status, body } = await get(port, query);
    t.equal(status, 400, query);
    t.match(JSON.parse(body), { error: 'bad_request', message });
  }
  t.equal(archive.asked.length, 2);
});

t.test('a gateway that archives nothing says so', async (t) => {
  const { port } = await startHttp(t);
  for (const { status, body } of [await get(port), await getLog(port)]) {
    t.equal(status, 404);
    t.match(JSON.parse(body), { error: 'not_found', message: /archive.topics says what is to be archived/ });
  }
});

t.test('the log is given by positions, to programs on this machine, two at a time', async (t) => {
  const archive = new FakeArchive(2);
  const { port } = await startHttp(t, { archive, host: '0.0.0.0' });
  t.equal(bodyOf(await getLog(port)).isWhole, true);
  await getLog(port, '?after=7&upTo=12');
  t.match(archive.logAsked, [
    { after: 0, upTo: Infinity },
    { after: 7, upTo: 12 },
  ]);
  for (const query of ['?after=-1', '?upTo=x', '?from=1']) {
    const { status, body } = await getLog(port, query);
    t.equal(status, 400, query);
    t.match(JSON.parse(body), { error: 'bad_request', message: /after.*upTo/ });
  }
  t.equal((await getLog(port, '', 'evil.example')).status, 403);
  t.equal(archive.logAsked.length, 2);
  let go = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  archive.next = () => gate;
  const first = [getLog(port), getLog(port)];
  await until(() => archive.logAsked.length === 4);
  t.match(await getLog(port), { status: 503, body: /2 others read the log/ });
  t.equal((await get(port, '', 'localhost', 'HEAD')).status, 200, 'who reads the archive is not in the way');
  go();
  for (const answer of first) t.equal(bodyOf(await answer).isWhole, true);
  t.equal((await getLog(port)).status, 200);
});

t.test('only programs on this machine are answered, by a name of it', async (t) => {
  const archive = new FakeArchive(1);
  const { port } = await startHttp(t, { archive, host: '0.0.0.0' });
  t.equal((await get(port)).status, 200);
  const strange = await get(port, '', 'evil.example');
  t.equal(strange.status, 403);
  t.match(JSON.parse(strange.body), { error: 'not_local' });
  t.equal((await ask(port, ['GET /healthz HTTP/1.1', 'Host: evil.example'])).status, 200, 'others are');
  const old = await exchange(port, `GET ${PATH} HTTP/1.0\r\n\r\n`);
  t.match(old, /^HTTP\/1\.1 200 /, 'who names no host is no browser');
});

t.test('HEAD is answered without reading on, and leaves room for others', async (t) => {
  const archive = new FakeArchive(100);
  const { port } = await startHttp(t, { archive });
  for (let n = 0; n < 5; n++) {
    const answer = await get(port, '', 'localhost', 'HEAD');
    t.match([answer.status, answer.body], [200, '']);
  }
  await until(() => archive.ended.length === 5);
});

t.test('what goes wrong before the first line has a status, and no later one a whole answer', async (t) => {
  const archive = new FakeArchive(0);
  const { port, log } = await startHttp(t, { archive });
  for (const [code, status] of [
    ['ARCHIVE_MISSING', 404],
    ['ARCHIVE_UNREACHABLE', 503],
    ['ARCHIVE_DAMAGED', 503],
  ] as const) {
    archive.fault = new SprawlError(code, 'the way out');
    const answer = await get(port);
    t.equal(answer.status, status);
    t.match(JSON.parse(answer.body), { message: 'the way out' });
  }
  archive.fault = new TypeError('x is undefined');
  t.equal((await get(port)).status, 500);
  t.match(log.at(-1), /^error an HTTP request failed: a bug/);
  for (const fault of [new SprawlError('ARCHIVE_DAMAGED', 'an object'), 'odd']) {
    const late = new FakeArchive(2);
    late.fault = fault;
    const world = await startHttp(t, { archive: late });
    const cut = bodyOf(await get(world.port));
    t.same([cut.text.length, cut.isWhole], [20, false]);
    t.match(world.log.at(-1), /^warn an HTTP answer was cut off/);
    t.equal(bodyOf(await get(world.port)).isWhole, false, 'and there is room for the next');
  }
});

t.test('an archive is finished by who asks from the same machine, and told why not', async (t) => {
  const asked: unknown[] = [];
  const archive = new FakeArchive(1);
  const finish = (gateway: string, tellsRest: boolean): FinishBegun | string => {
    asked.push([gateway, tellsRest]);
    return gateway === 'mill' ? { gateway, archivedUpTo: 3, upTo: 9 } : 'nothing is kept of it';
  };
  const { port } = await startHttp(t, {
    archive: { status: noStatus, log: noLog, messages: (query) => archive.messages(query), finish },
  });
  const post = (body: string): Promise<RawAnswer> => {
    const type = 'Content-Type: application/octet-stream';
    const head = ['POST /api/v1/archive/finish HTTP/1.1', 'Host: localhost', type];
    return ask(port, [...head, `Content-Length: ${body.length}`], body);
  };
  const begun = await post('{"gateway":"mill"}');
  t.equal(begun.status, 200);
  t.same(JSON.parse(begun.body), { gateway: 'mill', archivedUpTo: 3, upTo: 9 });
  const refused = await post('{"gateway":"mole","giveUpRest":true}');
  t.equal(refused.status, 400);
  t.match(JSON.parse(refused.body), { message: 'nothing is kept of it' });
  for (const body of ['null', '{', '{"gateway":""}', '{"gateway":"mill","giveUpRest":1}'])
    t.match(JSON.parse((await post(body)).body), {
      error: 'bad_request',
      message: /the body is JSON with gateway/,
    });
  t.same(asked, [
    ['mill', false],
    ['mole', true],
  ]);
});

t.test('two read at a time', async (t) => {
  const archive = new FakeArchive(2);
  const { port } = await startHttp(t, { archive });
  for (let n = 0; n < 3; n++) await get(port);
  archive.fault = new SprawlError('ARCHIVE_DAMAGED', 'an object');
  for (let n = 0; n < 3; n++) await get(port);
  archive.fault = undefined;
  archive.asked.length = 0;
  let go = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  archive.next = () => gate;
  const first = [get(port), get(port)];
  await until(() => archive.asked.length === 2);
  const third = await get(port);
  t.equal(third.status, 503);
  t.match(JSON.parse(third.body), { error: 'unavailable', message: /2 others read the archive/ });
  go();
  for (const answer of first) t.equal(bodyOf(await answer).isWhole, true);
  t.equal((await get(port)).status, 200);
});

t.test('reading waits for the client, and ends when it goes', async (t) => {
  const archive = new FakeArchive(10_000, 100_000);
  let count = 0;
  archive.next = () => {
    count++;
    return Promise.resolve();
  };
  const { port, log } = await startHttp(t, { archive });
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await once(socket, 'readable');
  let before = -1;
  // The kernel takes some megabytes, and then nothing more.
  while (count !== before) {
    before = count;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  t.ok(count < 1000, `${count} parts went out`);
  socket.destroy();
  await until(() => archive.ended.length === 1);
  t.same(archive.ended, ['gone']);
  t.ok(count <= before + 2);
  t.notOk(log.some((line) => line.startsWith('warn')));
});

t.test('reading that finds nothing ends with the client, too', async (t) => {
  const store = await storeWith(t);
  let go = (): void => undefined;
  let isRead = false;
  const read = store.read.bind(store);
  store.read = async (key, range) => {
    isRead = true;
    await new Promise<void>((resolve) => (go = resolve));
    return read(key, range);
  };
  let isEnded = false;
  const messages = async function* (query: ArchiveQuery): AsyncGenerator<Uint8Array> {
    try {
      yield* archiveMessages(store, query);
    } finally {
      isEnded = true;
    }
  };
  const { port, log } = await startHttp(t, {
    archive: { status: noStatus, log: noLog, finish: noStatus, messages },
  });
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await until(() => isRead);
  const askedBefore = store.asked.length;
  socket.destroy();
  await once(socket, 'close');
  await new Promise((resolve) => setTimeout(resolve, 50));
  go();
  await until(() => isEnded);
  t.ok(store.asked.length <= askedBefore + 1, 'the next request is not made');
  t.notOk(
    log.some((line) => line.startsWith('error')),
    log.join('; '),
  );
});
