/** TLS listeners: who is let in, by which certificates. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import mqtt from 'mqtt';
import t from 'tap';
import * as wire from '../support/wire.js';
import {
  type Certificates,
  type KeyPair,
  makeCertificates,
  WITHOUT_OPENSSL,
} from '../interop/certificates.js';
import { startTestGateway } from '../interop/gateway.js';

const keyOf = ({ certFile, keyFile }: KeyPair): { cert: Buffer; key: Buffer } => ({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
});

/** Whether the gateway answers CONNECT; false where the connection ends before. */
async function enters(port: number, options: ConnectionOptions): Promise<boolean> {
  const socket = connectTls({ host: '127.0.0.1', port, ...options });
  const ended = new Promise<boolean>((resolve) => {
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
  const answered = new Promise<boolean>((resolve) =>
    socket.once('data', (bytes) => resolve(bytes[0] === 0x20)),
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

  t.test('a certificate file that cannot be read stops the start and is named', async (t) => {
    const tls = { ...server, certFile: `${t.testdir()}/missing.crt` };
    await t.rejects(startTestGateway(t, { listeners: { tls, tlsPort: 0 } }), {
      code: 'TLS_FILE_INVALID',
      message: /missing\.crt.*listeners\.tls\.certFile/,
    });
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
