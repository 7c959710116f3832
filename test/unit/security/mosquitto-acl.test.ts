/** The same password and ACL files given to a real mosquitto: who may publish what has to come out the same. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { AclPolicy } from '../../../lib/security/acl-policy.js';
import { parseAclFile } from '../../../lib/security/acl-file.js';
import { createAuthorizer, hashPassword, updatePasswordFile } from '../../../lib/security/index.js';
import { freePort } from '../../support/free-port.js';

const ACL = `# for clients without a user name
topic readwrite anon/#
topic deny anon/secret
pattern write dev/%c/up
pattern readwrite of/%u/+
pattern write pre-%u/x%c
user ann
topic ann/#
topic deny ann/no/#
topic read ann/r
topic +/wild
user bob
topic #
topic deny bob/+/x
topic write my topic
`;
const CLIENTS: { username?: string; clientId: string }[] = [
  { clientId: 'c1' },
  { username: 'ann', clientId: 'c1' },
  { username: 'ann', clientId: 'c2' },
  { username: 'bob', clientId: '#x' },
  { username: '$SYS', clientId: 'c1' },
];
const TOPICS = [
  'anon',
  'anon/a',
  'anon/secret',
  'dev/c1/up',
  'dev/c2/up',
  'dev/c1/up/x',
  'of/ann/1',
  'of/bob/1',
  'of/ann/1/2',
  'pre-ann/xc1',
  'ann',
  'ann/a',
  'ann/no',
  'ann/no/b',
  'ann/r',
  'a/wild',
  '$x/wild',
  'bob/1/x',
  'bob/1/y',
  'my topic',
  'other',
  '$SYS/of',
  'dev/%c/up',
];
const missing = spawnSync('mosquitto', ['-h']).error === undefined ? false : 'mosquitto is not installed';

async function startMosquitto(t: Test): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'mosquitto-'));
  const port = await freePort();
  const file = (name: string) => join(folder, name);
  for (const { username } of CLIENTS) {
    if (username === undefined) continue;
    await updatePasswordFile(
      file('passwd'),
      username,
      await hashPassword(`pw ${username}`, { format: 'pbkdf2-sha512' }),
    );
  }
  await writeFile(file('acl'), ACL);
  const lines = ['allow_anonymous true', `password_file ${file('passwd')}`, `acl_file ${file('acl')}`];
  await writeFile(
    file('conf'),
    [`listener ${port} 127.0.0.1`, ...lines, `user ${userInfo().username}`, ''].join('\n'),
  );
  const broker = spawn('mosquitto', ['-c', file('conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(broker, 'exit');
  t.teardown(async () => {
    broker.kill();
    await ended;
    await rm(folder, { recursive: true });
  });
  let output = '';
  for await (const chunk of broker.stderr) {
    output += String(chunk);
    if (output.includes(' running')) return port;
  }
  throw new Error(`mosquitto ended: ${output}`);
}

t.test(
  'mosquitto accepts the passwords hashed here and reads an ACL as it is read here',
  { skip: missing },
  async (t) => {
    const port = await startMosquitto(t);
    const authorizer = createAuthorizer(new AclPolicy(parseAclFile(ACL, 'acl'), []));
    const allowed = { yes: 0, no: 0 };
    for (const { username, clientId } of CLIENTS) {
      const login = username === undefined ? {} : { username, password: `pw ${username}` };
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
        protocolVersion: 5,
        clientId,
        ...login,
      });
      for (const topic of TOPICS) {
        const theirs = await client.publishAsync(topic, 'x', { qos: 1 }).then(
          () => true,
          () => false,
        );
        const ours = authorizer.canPublish({ clientId, username }, topic);
        allowed[ours ? 'yes' : 'no']++;
        t.equal(ours, theirs, `${username ?? 'anonymous'} as ${clientId} on ${topic}`);
      }
      await client.endAsync(true);
    }
    t.ok(allowed.yes > 20 && allowed.no > 20, JSON.stringify(allowed));
  },
);
