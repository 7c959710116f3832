/** The code examples of Aedes's documentation, as they are printed there, with only the name of the package changed. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import mqtt from 'mqtt';
import t from 'tap';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';

const DOCS = join(dirname(fileURLToPath(import.meta.resolve('aedes'))), 'docs');
/** Inside the package, so that an example finds the package by its name. */
const FOLDER_PARENT = fileURLToPath(new URL('./', import.meta.url));

const OWN_PAGE = fileURLToPath(new URL('../../../docs/embedding.md', import.meta.url));

/** Heading and code of each example of a page. */
function examplesOf(file: string): { readonly title: string; readonly code: string }[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^## (.+)\n(?:(?!^## )[\s\S])*?```js\n([\s\S]*?)```/gm)].map((match) => ({
    title: match[1] ?? '',
    code: match[2] ?? '',
  }));
}

/** Changes nothing but the package's name, the port and the names of the key files; then says where it listens. */
function runnable(code: string): string {
  const server = /(\w+)\.listen\(port/.exec(code)?.[1];
  const tell =
    server === undefined
      ? 'process.send(gateway.addresses.mqtt.port)'
      : `${server}.on('listening', () => process.send(${server}.address().port))`;
  const changed = code
    .replaceAll("'aedes'", "'sprawl-edge'")
    .replace(/const port = \d+/, 'const port = 0')
    .replace('YOUR_PRIVATE_KEY_FILE.pem', 'key.pem')
    .replace('YOUR_PUBLIC_CERT_FILE.pem', 'cert.pem');
  // The page has a top-level await in CommonJS, which no Node takes.
  return code.includes('require(') ? `(async () => {\n${changed}\n${tell}\n})()` : `${changed}\n${tell}\n`;
}

/** Since these versions, also without a flag, `require` loads ES modules. */
function requiresModules(): boolean {
  return 'require_module' in process.features;
}

function makeCertificate(folder: string): void {
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...files, '-days', '2', '-subj', '/CN=localhost'], {
    stdio: 'ignore',
  });
}

function schemeOf(code: string): string {
  if (code.includes('node:tls')) return 'mqtts';
  return code.includes('WebSocketServer') ? 'ws' : 'mqtt';
}

const examples = examplesOf(join(DOCS, 'Examples.md'));
const ownExamples = examplesOf(OWN_PAGE);

t.test('the pages have the examples that are run here', async (t) => {
  t.same(
    examples.map(({ title }) => title),
    [
      'Simple plain MQTT server',
      'CommonJS',
      'Simple plain MQTT server using server-factory',
      'MQTT over TLS / MQTTS',
      'MQTT server over WebSocket',
      'MQTT server over WebSocket using server-factory',
    ],
  );
  t.same(
    ownExamples.map(({ title }) => title),
    ['A broker behind your own server', 'The gateway in your program'],
  );
});

for (const { title, code } of [...examples, ...ownExamples]) {
  // That package is not installed; what it does is in the examples before: a server of node:net or node:http.
  if (code.includes('aedes-server-factory')) continue;
  const isCommonJs = code.includes('require(');
  const skip = isCommonJs && !requiresModules() ? 'this Node cannot require ES modules' : false;
  t.test(`the example "${title}" serves a client`, skip ? { skip } : {}, async (t) => {
    const folder = mkdtempSync(join(FOLDER_PARENT, 'example-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    if (schemeOf(code) === 'mqtts') makeCertificate(folder);
    const file = join(folder, isCommonJs ? 'example.cjs' : 'example.mjs');
    writeFileSync(file, runnable(code));
    const child: ChildProcess = spawn(...cleanCommand(process.execPath, ['--no-warnings', file]), {
      cwd: folder,
      env: cleanEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    const port: unknown = await Promise.race([
      once(child, 'message').then(([message]) => message as unknown),
      once(child, 'exit').then(() => Promise.reject(new Error(`the example ended: ${complaint}`))),
    ]);
    const client = await mqtt.connectAsync(`${schemeOf(code)}://localhost:${String(port)}`, {
      rejectUnauthorized: false,
      reconnectPeriod: 0,
    });
    t.teardown(() => client.end(true));
    await client.subscribeAsync('greeting', { qos: 1 });
    const received = new Promise<unknown[]>((resolve) =>
      client.once('message', (topic, payload) => resolve([topic, payload.toString()])),
    );
    await client.publishAsync('greeting', 'hello', { qos: 1 });
    t.same(await received, ['greeting', 'hello']);
    await client.endAsync();
  });
}
