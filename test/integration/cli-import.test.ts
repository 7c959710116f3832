import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { inMosquittosOrder } from '../../lib/cli/import/conf-files.js';
import { runHere } from './cli-in-process.js';

t.test('import prints a configuration, and what needs attention beside it', async (t) => {
  const conf = join(t.testdir({ 'm.conf': 'listener 1884 127.0.0.1\nqueue_qos0_messages true\n' }), 'm.conf');
  const { code, out, err } = await runHere(['import', conf]);
  t.equal(code, 1);
  t.match(out, `  mqttPort: 1884 # ${conf}:1: listener 1884 127.0.0.1\n`);
  t.match(
    out,
    /\n# Said by no line, and different from mosquitto:\n(#.*\n)*#   mqtt\.connectMaxBytes is 16384.* mqtt\.clientIdMaxBytes 256.*\n#   shared subscriptions get no retained/,
  );
  t.match(err, `${conf}:2: queue_qos0_messages true: not supported: `);
  t.match(err, /2 lines: 1 taken over, 0 not needed, 1 not supported, 0 not understood\n1 thing to look at/);
});

t.test('import writes a file that the check takes, and never over another one', async (t) => {
  const dir = t.testdir({ 'm.conf': 'listener 1884 127.0.0.1\nallow_anonymous true\n' });
  const [conf, out] = [join(dir, 'm.conf'), join(dir, 'o.yaml')];
  t.match(await runHere(['import', conf, '--out', out]), { code: 0, out: '' });
  t.match(await runHere(['config', 'check', '--config', out]), { code: 0 });
  writeFileSync(out, 'mine');
  t.match(await runHere(['import', conf, '--out', out]), { code: 2, err: /is there already.*--force/ });
  t.equal(readFileSync(out, 'utf8'), 'mine');
  const { code, out: json } = await runHere(['import', conf, '--out', out, '--force', '--json']);
  t.equal(code, 0);
  t.match(JSON.parse(json), { settings: { 'listeners.mqttPort': 1884 }, yaml: readFileSync(out, 'utf8') });
  t.match(await runHere(['import', conf, '--out', join(dir, 'none', 'o')]), { code: 2, err: /cannot write/ });
});

t.test('import reads the files of include_dir in the order of mosquitto, one level deep', async (t) => {
  const dir = t.testdir({
    d: {
      'b.conf': 'sys_interval 30\n',
      'B.conf': 'sys_interval 20\n',
      'a.txt': 'nonsense\n',
      'c.conf': 'include_dir /none\n',
    },
  });
  const conf = join(dir, 'm.conf');
  writeFileSync(conf, `include_dir ${join(dir, 'd')}\nlog_dest stderr\n`);
  const { code, out } = await runHere(['import', conf]);
  t.equal(code, 0);
  t.match(out, `intervalS: 30 # ${join(dir, 'd', 'b.conf')}:1: sys_interval 30\n`);
  const names = ['b.conf', 'A.conf', '01.conf', 'a.conf', 'B.conf', '00.conf'];
  t.strictSame(names.sort(inMosquittosOrder), ['00.conf', '01.conf', 'A.conf', 'a.conf', 'B.conf', 'b.conf']);
});

t.test('import names the file that it cannot read, and the line that wants it', async (t) => {
  const conf = join(t.testdir({ 'm.conf': '\ninclude_dir /none/d\n' }), 'm.conf');
  t.match(await runHere(['import', conf]), {
    code: 2,
    err: `sprawl-edge: cannot read the folder "/none/d", included at ${conf}:2: ENOENT`,
  });
  t.match(await runHere(['import', '/none/m.conf']), {
    code: 2,
    err: /cannot read "\/none\/m\.conf": ENOENT/,
  });
  t.match(await runHere(['import']), { code: 2 });
});

t.test('import reports what would stop the gateway in the password and ACL files, by line', async (t) => {
  const dir = t.testdir({
    passwords: '# hashed nothing\nanna:plain\n',
    acl: 'topic read a\nallow b\n',
    denying: 'user anna\ntopic a/#\npattern deny a/%u\n',
  });
  const conf = (acl: string): string => {
    const path = join(dir, `${acl}.conf`);
    writeFileSync(
      path,
      `listener 1883\npassword_file ${join(dir, 'passwords')}\nacl_file ${join(dir, acl)}\n`,
    );
    return path;
  };
  const bad = await runHere(['import', conf('acl')]);
  t.equal(bad.code, 1);
  t.match(bad.err, `${join(dir, 'passwords')}:2: user "anna": the password is not hashed`);
  t.match(bad.err, `${join(dir, 'acl')}:2: "allow" is unknown`);
  t.match(bad.err, '2 things to look at');
  t.match((await runHere(['import', conf('denying')])).err, /a "pattern deny" line wins/);
  t.match((await runHere(['import', conf('none')])).err, /none: cannot be read/);
});
