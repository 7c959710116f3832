/** TLS listeners: where they listen, and who is let in, by which certificates. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { join } from 'node:path';
import mqtt from 'mqtt';
import t from 'tap';
import { WebSocket } from 'ws';
import type { SprawlError } from '../../lib/contracts/errors.js';
import type { Lanes } from '../../lib/broker/lanes.js';
import { parseConfig } from '../../lib/config/index.js';
import { Listeners } from '../../lib/listeners.js';
import { tlsOptionsOf } from '../../lib/tls-files.js';
import { eventually } from '../support/eventually.js';
import { nullLogger } from '../support/null-logger.js';
import * as wire from '../support/wire.js';
import {
  type Certificates,
  type KeyPair,
  makeCertificates,
  WITHOUT_OPENSSL,
} from '../interop/certificates.js';
import { startTestGateway } from '../interop/gateway.js';
import { runHere } from './cli-in-process.js';

const keyOf = ({ certFile, keyFile }: KeyPair): { cert: Buffer; key: Buffer } => ({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
});

/** Whether the gateway answers CONNECT; false where the connection ends before. */
async function enters(port: number, options: ConnectionOptions): Promise<boolean> {
  return (await answer(connectTls({ host: '127.0.0.1', port, ...options }))) === 0;
}

/** The code with which CONNECT without a name is answered, or why it is not. */
async function answer(socket: Socket): Promise<number | string> {
  const ended = new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
  });
  const answered = new Promise<number | string>((resolve) =>
    socket.once('data', (bytes) => resolve(bytes[0] === 0x20 ? (bytes[3] ?? 'too short') : 'no CONNACK')),
  );
  socket.write(wire.connect({ version: 4 }));
  const result = await Promise.race([ended, answered]);
  socket.destroy();
  return result;
}

t.setTimeout(30_000);

function suite(certificates: Certificates): void {
  const { caFile, server } = certificates;
  const ca = readFileSync(caFile);

  t.test('a client that trusts the authority gets in, another does not', async (t) => {
    const gateway = await startTestGateway(t, { listeners: { tls: server, tlsPort: 0, wssPort: false } });
    t.ok(await enters(gateway.port('tls'), { ca }));
    t.notOk(await enters(gateway.port('tls'), {}));
  });

  t.test('with requireClientCertificate only a certificate of the authority lets in', async (t) => {
    const tls = { ...server, caFile, requireClientCertificate: true };
    const gateway = await startTestGateway(t, { listeners: { tls, tlsPort: 0, wssPort: false } });
    const port = gateway.port('tls');
    t.ok(await enters(port, { ca, ...keyOf(certificates.client) }));
    t.notOk(await enters(port, { ca }));
    t.notOk(await enters(port, { ca, ...keyOf(certificates.stranger) }));
  });

  t.test('the log says why a hand-shake failed, over WebSocket too', async (t) => {
    const said: { reason: string }[] = [];
    const logger = {
      ...nullLogger,
      child: () => logger,
      debug: (_: string, fields: { reason: string }) => void said.push(fields),
    };
    const config = parseConfig({
      overrides: {
        listeners: {
          tls: { certFile: server.certFile, keyFile: server.keyFile, caFile, requireClientCertificate: true },
          ...{ mqttPort: false, wsPort: false, tlsPort: 0, wssPort: 0 },
        },
      },
    });
    const lanes = { reserve: () => () => undefined } as unknown as Lanes;
    const listeners = new Listeners(lanes, config, logger);
    await listeners.open();
    t.teardown(() => listeners.close());
    for (const { port } of Object.values(listeners.addresses)) {
      said.length = 0;
      t.notOk(await enters(port, { ca, ...keyOf(certificates.stranger) }));
      t.notOk(await enters(port, { ca }));
      t.match(
        said.map(({ reason }) => reason),
        [/^the certificate of the client is refused: \w+$/, /peer did not return a certificate/],
      );
    }
  });

  t.test('a TLS version below minVersion is refused', async (t) => {
    const tls = { ...server, minVersion: 'TLSv1.3' };
    const gateway = await startTestGateway(t, { listeners: { tls, tlsPort: 0, wssPort: false } });
    const port = gateway.port('tls');
    t.ok(await enters(port, { ca }));
    t.notOk(await enters(port, { ca, maxVersion: 'TLSv1.2' }));
  });

  t.test('bytes that are no TLS end their connection and nobody else’s', async (t) => {
    const gateway = await startTestGateway(t, { listeners: { tls: server, tlsPort: 0, wssPort: false } });
    const port = gateway.port('tls');
    const steady = await mqtt.connectAsync(`mqtts://127.0.0.1:${port}`, { ca, reconnectPeriod: 0 });
    t.teardown(() => steady.endAsync(true));
    const plain = connectTcp(port, '127.0.0.1');
    plain.on('error', () => undefined); // Being reset is one way to be refused.
    plain.resume();
    plain.write(Buffer.from('100c00044d5154540402003c0000', 'hex'));
    await once(plain, 'close');
    await steady.publishAsync('still/here', 'x', { qos: 1 });
    t.ok(steady.connected);
  });

  t.test('a hand-shake that never ends is cut off', async (t) => {
    const gateway = await startTestGateway(t, {
      listeners: { tls: server, tlsPort: 0, wssPort: false },
      mqtt: { connectTimeoutMs: 300 },
    });
    const port = gateway.port('tls');
    const silent = connectTcp(port, '127.0.0.1');
    silent.on('error', () => undefined); // Either way of ending will do.
    silent.resume();
    const secure = connectTls({ port, host: '127.0.0.1', ca });
    secure.on('error', () => undefined);
    secure.resume();
    const ended = Promise.all([once(silent, 'close'), once(secure, 'close')]);
    const timeout = AbortSignal.timeout(5000);
    const late = once(timeout, 'abort').then(() => 'late');
    t.not(await Promise.race([ended, late]), 'late', 'both without CONNECT and without TLS');
    silent.destroy();
    secure.destroy();
  });

  t.test('who is still in TLS counts as a handshake, and gives its place back however it ends', async (t) => {
    const gateway = await startTestGateway(t, {
      listeners: { tls: server, tlsPort: 0, wssPort: 0 },
      limits: { handshakesPerAddressMax: 4 },
      mqtt: { connectTimeoutMs: 60_000 },
    });
    const { lanes } = gateway.gateway;
    const host = '127.0.0.1';
    const tcp = (name: 'tls' | 'wss'): Socket => {
      const socket = connectTcp(gateway.port(name), host);
      t.teardown(() => socket.destroy());
      socket.on('error', () => undefined); // Being reset is one way to be closed.
      return socket.resume();
    };
    for (const name of ['tls', 'wss'] as const) {
      const port = gateway.port(name);
      const [noTls, leaving, upgraded, lost] = [tcp(name), tcp(name), tcp(name), tcp(name)];
      await once(tcp(name), 'close', { signal: AbortSignal.timeout(5000) });
      t.strictSame([lanes.handshakes, lanes.connectionCount], [4, 4], name);
      noTls.write('hello\r\n\r\n');
      leaving.end();
      lost.resetAndDestroy();
      await eventually(() => lanes.handshakes === 1);
      const secure = connectTls({ socket: upgraded, host, ca });
      await once(secure, 'secureConnect');
      const webSocket = name === 'wss' && new WebSocket(`wss://${host}:${port}/mqtt`, 'mqtt', { ca });
      if (webSocket !== false) await once(webSocket, 'open');
      t.strictSame([lanes.handshakes, lanes.connectionCount], webSocket === false ? [1, 1] : [2, 2]);
      secure.end(name === 'wss' ? 'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n' : wire.connect({ version: 4 }));
      if (webSocket !== false) webSocket.terminate();
      await eventually(() => lanes.handshakes + lanes.connectionCount === 0);
    }
  });

  t.test('who is still in TLS does not hold up the end', async (t) => {
    const gateway = await startTestGateway(t, {
      listeners: { tls: server, tlsPort: 0, wssPort: 0 },
      mqtt: { connectTimeoutMs: 60_000 },
    });
    const signal = AbortSignal.timeout(5000);
    const closed = (['tls', 'wss'] as const).map(async (name) => {
      const silent = connectTcp(gateway.port(name), '127.0.0.1').resume();
      t.teardown(() => silent.destroy());
      await once(silent, 'close', { signal });
    });
    const inHttp = connectTls({ host: '127.0.0.1', port: gateway.port('wss'), ca }).resume();
    t.teardown(() => inHttp.destroy());
    await once(inHttp, 'secureConnect');
    await eventually(() => gateway.gateway.lanes.handshakes === 3);
    await Promise.all([gateway.gateway.stop(), ...closed, once(inHttp, 'close', { signal })]);
  });

  t.test('TLS has an address of its own, and the listeners without it are not there', async (t) => {
    const tls = { ...server, host: '127.0.0.2' };
    const gateway = await startTestGateway(t, { listeners: { tls, tlsPort: 0, wssPort: 0 } });
    t.match(gateway.gateway.addresses, {
      mqtt: { address: '127.0.0.1' },
      ws: { address: '127.0.0.1' },
      tls: { address: '127.0.0.2' },
      wss: { address: '127.0.0.2' },
    });
    const plain = (host: string, name: 'mqtt' | 'ws'): Socket => connectTcp(gateway.port(name), host);
    const secure = (host: string): Socket => connectTls({ host, port: gateway.port('tls'), ca });
    t.equal(await answer(plain('127.0.0.1', 'mqtt')), 0);
    t.equal(await answer(secure('127.0.0.2')), 0);
    t.equal(await answer(plain('127.0.0.2', 'mqtt')), 'ECONNREFUSED');
    t.equal(await answer(plain('127.0.0.2', 'ws')), 'ECONNREFUSED');
    t.equal(await answer(secure('127.0.0.1')), 'ECONNREFUSED');
    const webSocket = (host: string): Promise<mqtt.MqttClient> =>
      mqtt.connectAsync(`wss://${host}:${gateway.port('wss')}/mqtt`, { ca, reconnectPeriod: 0 });
    await (await webSocket('127.0.0.2')).endAsync(true);
    await t.rejects(webSocket('127.0.0.1'), { code: 'ECONNREFUSED' });
  });

  t.test('where TLS is open beyond loopback, nobody without a name gets in on loopback either', async (t) => {
    // A name that leads to loopback and does not say so: from here it cannot be told from that of a network.
    const listeners = { tls: { ...server, host: '127.1' }, tlsPort: 0, wssPort: false };
    await t.rejects(async () => startTestGateway(t, { listeners }), {
      code: 'LISTEN_REFUSED',
      message: /^listeners\.tls\.host: "127\.1" is reachable/,
    });
    const passwordFile = join(t.testdir({ passwords: '' }), 'passwords');
    const gateway = await startTestGateway(t, { listeners, security: { passwordFile } });
    const NOT_AUTHORIZED = 5;
    t.equal(await answer(connectTcp(gateway.port('mqtt'), '127.0.0.1')), NOT_AUTHORIZED);
    const host = '127.0.0.1';
    t.equal(await answer(connectTls({ host, port: gateway.port('tls'), ca })), NOT_AUTHORIZED);
  });

  t.test('an address for TLS that this machine does not have is named with its key', async (t) => {
    const tls = { ...server, host: '203.0.113.1' };
    const security = { allowAnonymous: true };
    await t.rejects(startTestGateway(t, { listeners: { tls, tlsPort: 0, wssPort: false }, security }), {
      code: 'LISTEN_FAILED',
      message: /203\.0\.113\.1, .*set listeners\.tls\.host to one/,
    });
  });

  t.test('a certificate file that cannot be read stops the start and is named', async (t) => {
    const tls = { ...server, certFile: `${t.testdir()}/missing.crt` };
    await t.rejects(startTestGateway(t, { listeners: { tls, tlsPort: 0 } }), {
      code: 'TLS_FILE_INVALID',
      message: /missing\.crt.*listeners\.tls\.certFile: ENOENT/,
    });
  });

  t.test(
    'a key that does not fit, is none or is encrypted stops the start, and so does a CA file without any',
    async (t) => {
      const refused = async (changes: object): Promise<string> =>
        tlsOptionsOf({
          ...server,
          host: '127.0.0.1',
          minVersion: 'TLSv1.2',
          requireClientCertificate: false,
          ...changes,
        }).then(
          () => 'taken',
          ({ code, message }: SprawlError) => `${code} ${message}`,
        );
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
      const pem = (rest: object) => privateKey.export({ type: 'pkcs8', format: 'pem', ...rest });
      const encrypted = pem({ cipher: 'aes-256-cbc', passphrase: 'x' });
      const dir = t.testdir({ other: pem({}), encrypted, none: 'no key\n' });
      t.equal(await refused({}), 'taken');
      t.match(
        await refused({ keyFile: `${dir}/other` }),
        /^TLS_FILE_INVALID .*other, .*keyFile, is not the key of/,
      );
      t.match(await refused({ keyFile: `${dir}/encrypted` }), /is encrypted, .*"openssl pkey -in /);
      t.match(await refused({ keyFile: `${dir}/none` }), /keyFile, holds no private key in PEM/);
      t.match(await refused({ caFile: `${dir}/none` }), /caFile, begins with no certificate in PEM/);
    },
  );

  t.test('new certificates come with a reload, for TLS and WebSocket, and who is there stays', async (t) => {
    const dir = t.testdir({ crt: readFileSync(server.certFile), key: readFileSync(server.keyFile) });
    const tls = { certFile: join(dir, 'crt'), keyFile: join(dir, 'key') };
    const { gateway, port } = await startTestGateway(t, { listeners: { tls, tlsPort: 0, wssPort: 0 } });
    const steady = await mqtt.connectAsync(`mqtts://127.0.0.1:${port('tls')}`, { ca, reconnectPeriod: 0 });
    t.teardown(() => steady.endAsync(true));
    const names = async (): Promise<unknown[]> =>
      Promise.all(
        (['tls', 'wss'] as const).map(async (listener) => {
          const socket = connectTls({ host: '127.0.0.1', port: port(listener), ca });
          await once(socket, 'secureConnect');
          const { subject } = socket.getPeerCertificate();
          socket.destroy();
          return subject.CN;
        }),
      );
    t.same(await names(), ['localhost', 'localhost']);
    copyFileSync(certificates.client.certFile, tls.certFile);
    await t.rejects(gateway.reload(), { code: 'TLS_FILE_INVALID', message: /is not the key of/ });
    t.same(await names(), ['localhost', 'localhost'], 'the old ones stay in force');
    copyFileSync(certificates.client.keyFile, tls.keyFile);
    await gateway.reload();
    t.same(await names(), ['device', 'device']);
    await steady.publishAsync('still/here', 'x', { qos: 1 });
    t.ok(steady.connected);
  });

  t.test('a certificate that soon expires is warned of by config check and at a start', async (t) => {
    const keys = { certFile: server.certFile, keyFile: server.keyFile, dataDir: t.testdir() };
    const set = Object.entries(keys).flatMap(([key, value]) => [
      '--set',
      `${key === 'dataDir' ? '' : 'listeners.tls.'}${key}=${value}`,
    ]);
    t.match(await runHere(['config', 'check', ...set]), {
      code: 0,
      out: 'configuration ok\n',
      err: /^warning: \S+localhost\.crt, the value of listeners\.tls\.certFile: it expires at 20[^\n]*\n$/,
    });
    const warned: unknown[] = [];
    const logger = {
      ...nullLogger,
      child: () => logger,
      warn: (...line: unknown[]) => void warned.push(line),
    };
    const lanes = {} as unknown as Lanes;
    const tls = { certFile: server.certFile, keyFile: server.keyFile };
    const config = parseConfig({
      overrides: { listeners: { tls, mqttPort: false, wsPort: false, tlsPort: 0, wssPort: false } },
    });
    const listeners = new Listeners(lanes, config, logger);
    await listeners.open();
    await listeners.close();
    t.match(warned, [[/is to be renewed/, { file: server.certFile, reason: /^it expires at 20/ }]]);
  });

  t.test('a certificate file that holds none stops the start and is named', async (t) => {
    const dir = t.testdir({ 'bad.crt': 'not a certificate\n' });
    const tls = { ...server, certFile: `${dir}/bad.crt` };
    await t.rejects(startTestGateway(t, { listeners: { tls, tlsPort: 0 } }), {
      code: 'TLS_FILE_INVALID',
      message: /listeners\.tls/,
    });
  });
}

if (WITHOUT_OPENSSL === false) suite(makeCertificates(t.testdir()));
else t.test('TLS listeners', { skip: WITHOUT_OPENSSL }, async () => undefined);
