import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { SocketTransport } from '../../../lib/connection/socket-transport.js';
import type { TransportHandler } from '../../../lib/connection/transport.js';
import { WebSocketTransport } from '../../../lib/connection/websocket-transport.js';

/** Writes down what a transport reports. */
class Recorder implements TransportHandler {
  readonly received: Buffer[] = [];
  readonly closes: (Error | undefined)[] = [];
  #ended: () => void = () => {};
  readonly ended = new Promise<void>((resolve) => {
    this.#ended = resolve;
  });
  #wanted: { bytes: number; resolve: () => void } | undefined;

  data(bytes: Uint8Array): void {
    this.received.push(Buffer.from(bytes));
    if (this.#wanted !== undefined && this.text.length >= this.#wanted.bytes) this.#wanted.resolve();
  }
  closed(error: Error | undefined): void {
    this.closes.push(error);
    this.#ended();
  }
  get text(): string {
    return Buffer.concat(this.received).toString();
  }
  /** Resolves when so many bytes have arrived. */
  async has(bytes: number): Promise<void> {
    if (this.text.length >= bytes) return;
    await new Promise<void>((resolve) => {
      this.#wanted = { bytes, resolve };
    });
  }
}

/** A Duplex whose other side the test holds. */
class Line extends Duplex {
  readonly written: string[] = [];
  readonly callbacks: ((error?: Error | null) => void)[] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.written.push(chunk.toString());
    this.callbacks.push(callback);
  }
}

t.test('a socket transport hands on what comes and says when the system took what goes', async (t) => {
  const line = new Line();
  const transport = new SocketTransport(line);
  const handler = new Recorder();
  transport.attach(handler);
  line.push('hello');
  await turn();
  t.equal(handler.text, 'hello');
  const taken: string[] = [];
  transport.write(Buffer.from('one'), () => taken.push('one'));
  transport.write(Buffer.from('two'), () => taken.push('two'));
  await turn();
  t.same(line.written, ['one']);
  t.same(taken, []);
  line.callbacks[0]?.();
  await turn();
  line.callbacks[1]?.();
  await turn();
  t.same(taken, ['one', 'two']);
});

t.test('a socket transport that is paused reads nothing until it is resumed', async (t) => {
  const line = new Line();
  const transport = new SocketTransport(line);
  const handler = new Recorder();
  transport.attach(handler);
  transport.pause();
  line.push('x');
  await turn();
  t.equal(handler.text, '');
  transport.resume();
  await turn();
  t.equal(handler.text, 'x');
});

t.test('a socket transport reports its end once, with what broke it', async (t) => {
  const line = new Line();
  const transport = new SocketTransport(line);
  const handler = new Recorder();
  transport.attach(handler);
  line.destroy(new Error('ECONNRESET'));
  await handler.ended;
  t.equal(handler.closes.length, 1);
  t.match(handler.closes[0], { message: 'ECONNRESET' });
  transport.write(Buffer.from('late'), () => t.fail('nothing is taken any more'));
  transport.destroy();
  await turn();
  t.equal(handler.closes.length, 1);
});

t.test('the end of what a client sends is the end of the connection', async (t) => {
  const stream = new PassThrough();
  const transport = new SocketTransport(stream);
  const handler = new Recorder();
  transport.attach(handler);
  stream.push('last');
  stream.push(null);
  await handler.ended;
  t.equal(handler.text, 'last');
  t.same(handler.closes, [undefined]);
  t.equal(transport.remoteAddress, undefined, 'a stream that is no socket has no address');
  t.equal(transport.remotePort, undefined);
});

/** A TCP server on a port of its own, and who connects to it. */
async function listening(server: Server | WebSocketServer): Promise<number> {
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

t.test('a TCP connection has an address, and end sends what was written', async (t) => {
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connect(await listening(server.listen(0, '127.0.0.1')), '127.0.0.1');
  const transport = new SocketTransport(await accepted);
  const handler = new Recorder();
  transport.attach(handler);
  t.equal(transport.remoteAddress, '127.0.0.1');
  t.equal(transport.remotePort, client.localPort);
  const got: Buffer[] = [];
  client.on('data', (bytes: Buffer) => got.push(bytes));
  transport.write(Buffer.from('bye'), () => {});
  transport.end();
  await once(client, 'end');
  t.equal(Buffer.concat(got).toString(), 'bye');
  await handler.ended;
  t.same(handler.closes, [undefined]);
  server.close();
});

interface WebSocketPair {
  client: WebSocket;
  port: number;
  transport: WebSocketTransport;
  handler: Recorder;
}

/** A WebSocket over loopback; both ends are closed with the test. */
async function webSocketPair(t: { teardown: (fn: () => void) => unknown }): Promise<WebSocketPair> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const accepted = new Promise<WebSocket>((resolve) => server.once('connection', resolve));
  const port = await listening(server);
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  client.on('error', () => {});
  const opened = once(client, 'open');
  const socket = await accepted;
  await opened;
  const transport = new WebSocketTransport(socket, { remoteAddress: '127.0.0.1', remotePort: 7 });
  const handler = new Recorder();
  transport.attach(handler);
  t.teardown(() => {
    client.terminate();
    socket.terminate();
    server.close();
  });
  return { client, port, transport, handler };
}

const closeCode = (client: WebSocket): Promise<number> =>
  new Promise((resolve) => client.once('close', resolve));

t.test('a WebSocket transport hands on binary frames, however the packets are cut into them', async (t) => {
  const { client, transport, handler } = await webSocketPair(t);
  t.equal(transport.remoteAddress, '127.0.0.1');
  t.equal(transport.remotePort, 7);
  for (const part of ['ab', 'c', 'def']) client.send(Buffer.from(part));
  await handler.has(6);
  t.equal(handler.text, 'abcdef');
  const taken = new Promise<void>((resolve) => transport.write(Buffer.from('out'), resolve));
  const [text, isBinary] = await new Promise<[string, boolean]>((resolve) =>
    client.once('message', (data: RawData, binary) => resolve([String(data), binary])),
  );
  t.equal(text, 'out');
  t.ok(isBinary, 'binary [MQTT-6.0.0-1]');
  await taken;
});

t.test('a text frame closes a WebSocket with 1003 [MQTT-6.0.0-1]', async (t) => {
  const { client, handler } = await webSocketPair(t);
  client.send('text');
  t.equal(await closeCode(client), 1003);
  await handler.ended;
  t.match(handler.closes, [{ message: /text frame/ }]);
  t.equal(handler.text, '');
});

t.test('a WebSocket transport ends with 1000, and takes nothing after it', async (t) => {
  const { client, transport, handler } = await webSocketPair(t);
  transport.write(Buffer.from('bye'), () => {});
  transport.end();
  transport.write(Buffer.from('late'), () => t.fail('nothing is taken any more'));
  const messages: string[] = [];
  client.on('message', (data: Buffer) => messages.push(data.toString()));
  t.equal(await closeCode(client), 1000);
  t.same(messages, ['bye']);
  await handler.ended;
  t.same(handler.closes, [undefined]);
});

t.test('a WebSocket transport that is destroyed is gone at once', async (t) => {
  const { client, transport, handler } = await webSocketPair(t);
  transport.destroy();
  t.equal(await closeCode(client), 1006);
  await handler.ended;
  t.equal(handler.closes.length, 1);
});

t.test('a WebSocket transport that is paused reads nothing until it is resumed', async (t) => {
  const { client, transport, handler } = await webSocketPair(t);
  transport.pause();
  client.send(Buffer.from('held'));
  // An answer to a ping would come behind the frame, were it read.
  client.ping();
  let answered = false;
  client.once('pong', () => {
    answered = true;
  });
  for (let index = 0; index < 20; index++) await turn();
  t.equal(handler.text, '');
  t.notOk(answered);
  transport.resume();
  await handler.has(4);
  t.equal(handler.text, 'held');
});

t.test('a broken WebSocket frame ends the connection with the error', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const accepted = new Promise<WebSocket>((resolve) => server.once('connection', resolve));
  const raw = connect(await listening(server), '127.0.0.1');
  const key = Buffer.alloc(16).toString('base64');
  raw.write(
    `GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const transport = new WebSocketTransport(await accepted, {});
  const handler = new Recorder();
  transport.attach(handler);
  raw.write(Buffer.of(0xff, 0xff, 0xff, 0xff));
  raw.resume();
  await handler.ended;
  t.equal(handler.closes.length, 1);
  t.type(handler.closes[0], Error);
  raw.destroy();
  server.close();
});

t.test(
  'a Duplex that answers from inside of a write is heard after it, in order, before it closes',
  async (t) => {
    let inWrite = false;
    const heardInWrite: boolean[] = [];
    class Echo extends Duplex {
      override _read(): void {}
      override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
        this.push(Buffer.concat([Buffer.from('re:'), chunk]));
        callback();
      }
    }
    const line = new Echo();
    const transport = new SocketTransport(line);
    const handler = new Recorder();
    const record = handler.data.bind(handler);
    handler.data = (bytes) => {
      heardInWrite.push(inWrite);
      record(bytes);
    };
    transport.attach(handler);
    // From here on reading flows.
    await turn();
    inWrite = true;
    transport.write(Buffer.from('one,'), () => undefined);
    transport.write(Buffer.from('two,'), () => undefined);
    inWrite = false;
    line.push('end');
    transport.end();
    line.push(null);
    await handler.ended;
    t.equal(handler.text, 're:one,re:two,end');
    t.ok(heardInWrite.length > 0 && !heardInWrite.includes(true));
  },
);
