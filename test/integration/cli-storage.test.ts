/** The commands for a data folder, on folders that a gateway and real clients have filled. */
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { runHere } from './cli-in-process.js';
import { CliProcess } from './cli-process.js';

const SMALL = ['segmentMaxBytes', 'checkpointEveryBytes', 'snapshotEveryBytes'].flatMap((key) => [
  '--set',
  `storage.${key}=65536`,
]);
const FILLER = 'x'.repeat(200);
const PUBLISHED_AT_ONCE = 200;

/** A gateway in a process of its own. */
class ServedFolder {
  readonly folder: string;
  readonly gateway: CliProcess;
  #port = '';

  constructor(t: Test, folder: string, more: readonly string[] = []) {
    this.folder = folder;
    const ports = ['--mqtt-port', '0', '--ws-port', 'false', '--http-port', 'false'];
    this.gateway = new CliProcess(['up', '--data-dir', folder, ...ports, ...SMALL, ...more]);
    t.teardown(() => this.gateway.kill());
  }

  async ready(): Promise<this> {
    await this.gateway.told('err', 'ready');
    this.#port = /listener=mqtt host=\S+ port=(\d+)/.exec(this.gateway.err)?.[1] ?? '';
    return this;
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.gateway.child.kill(signal);
    await this.gateway.ended;
  }

  connect(clientId: string, clean = true): mqtt.MqttClient {
    const client = mqtt.connect(`mqtt://127.0.0.1:${this.#port}`, { clientId, clean, reconnectPeriod: 0 });
    client.on('error', () => undefined);
    return client;
  }

  /** A session that is away, and is to get every message. */
  async park(): Promise<void> {
    const client = this.connect('parked', false);
    await client.subscribeAsync('m/#', { qos: 1 });
    await client.endAsync();
  }

  /** Resolves when all are acknowledged. @param onAcknowledged is told each number. */
  async publish(from: number, count: number, onAcknowledged?: (number: number) => void): Promise<void> {
    const client = this.connect(`publisher-${from}`);
    for (let at = from; at < from + count; at += PUBLISHED_AT_ONCE) {
      const numbers = Array.from(
        { length: Math.min(PUBLISHED_AT_ONCE, from + count - at) },
        (_, i) => at + i,
      );
      await Promise.all(
        numbers.map(async (number) => {
          await client.publishAsync(`m/${number % 7}`, textOf(number), { qos: 1 });
          onAcknowledged?.(number);
        }),
      );
    }
    await client.endAsync();
  }

  /** What the parked session gets, until `isEnough`. */
  async backlog(isEnough: (numbers: Set<number>) => boolean): Promise<Set<number>> {
    const client = this.connect('parked', false);
    const numbers = new Set<number>();
    await new Promise<void>((resolve, reject) => {
      client.on('error', reject);
      client.on('message', (_, payload) => {
        numbers.add(Number(payload.toString().split(' ')[0]));
        if (isEnough(numbers)) resolve();
      });
    });
    await client.endAsync();
    return numbers;
  }
}

const textOf = (number: number): string => `${number} ${FILLER}`;

async function filled(
  t: Test,
  count: number,
): Promise<{ served: ServedFolder; folder: string; dir: string }> {
  const dir = t.testdir();
  const folder = join(dir, 'data');
  const served = await new ServedFolder(t, folder).ready();
  await served.park();
  await served.publish(0, count);
  return { served, folder, dir };
}

const on = (folder: string, ...command: string[]) => runHere([...command, '--data-dir', folder]);
const logFiles = (folder: string): string[] =>
  readdirSync(join(folder, 'log')).filter((name) => name.endsWith('.log'));

/** Changes a bit of the message with this number, or at `offset` of a file. */
function spoil(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] as number) ^ 1;
  writeFileSync(path, bytes);
}

function whereIs(folder: string, number: number): { path: string; offset: number } {
  for (const name of logFiles(folder)) {
    const path = join(folder, 'log', name);
    const offset = readFileSync(path).indexOf(textOf(number));
    if (offset >= 0) return { path, offset };
  }
  throw new Error(`message ${number} is nowhere`);
}

t.test(
  'stats and verify tell of a folder in use and of one that is stopped; repair and compact want it stopped',
  async (t) => {
    const { served, folder } = await filled(t, 900);
    const inUse = await on(folder, 'storage', 'stats');
    t.equal(inUse.code, 0);
    t.match(inUse.out, /in use by a gateway[^]*900 message[^]*not looked at: a gateway uses it/);
    t.match(await on(folder, 'storage', 'verify'), { code: 0, out: /everything that was read is whole\n$/ });
    for (const command of ['repair', 'compact'])
      t.match(await on(folder, 'storage', command), { code: 2, out: '', err: /in use by another process/ });
    await served.end('SIGTERM');
    const stopped = await on(folder, 'storage', 'stats', '--json');
    const stats = JSON.parse(stopped.out);
    t.match(stats, {
      inUse: false,
      formatVersion: 1,
      log: { types: { message: { count: 900 }, created: { count: 1 } } },
      database: { state: 'looked', sessions: 1, sessionsAway: 1, subscriptions: 1, waiting: 900 },
      faults: 0,
      notes: [],
    });
    t.equal(stats.database.applied, stats.log.last);
    t.equal(stats.log.segments.length, logFiles(folder).length);
    t.equal(stats.snapshots.length, 2);
    t.match(await on(folder, 'storage', 'verify'), { code: 0, out: /1 sessions, 900 messages wait/ });
    const before = logFiles(folder).length;
    const compacted = await on(folder, 'storage', 'compact', '--set', 'storage.keepMaxBytes=0');
    t.match(compacted, { code: 0, out: /^log +\S+ KiB before, [^]*0 segments were removed/ });
    t.equal(logFiles(folder).length, before, 'somebody waits for all of them');
    const again = await new ServedFolder(t, folder).ready();
    t.equal((await again.backlog(({ size }) => size === 900)).size, 900);
    await again.end('SIGTERM');
    await on(folder, 'storage', 'compact');
    t.match(await on(folder, 'storage', 'compact', '--set', 'storage.keepMaxBytes=0'), {
      code: 0,
      out: /[1-9]\d* segments were removed/,
    });
    t.ok(logFiles(folder).length < before);
    t.match(await on(folder, 'storage', 'verify'), { code: 0 });
  },
);

t.test('verify names what is damaged, repair makes it start again with all the rest', async (t) => {
  const { served, folder } = await filled(t, 900);
  await served.end('SIGKILL');
  t.match(await on(folder, 'storage', 'verify'), { code: 0, err: '' });

  const { path, offset } = whereIs(folder, 400);
  spoil(path, offset + 20);
  const position = 400 + 4; // Behind time, created, subscribed, disconnected there may be a few more.
  const one = await on(folder, 'storage', 'verify');
  t.equal(one.code, 1);
  const named = /damaged: (\S+), bytes (\d+) to (\d+): records are damaged; positions (\d+)\n(.*)\n/.exec(
    one.out,
  );
  t.equal(named?.[1], path);
  t.ok(Number(named?.[2]) < offset && Number(named?.[3]) > offset);
  t.ok(Math.abs(Number(named?.[4]) - position) < 20);
  t.match(one.out, /one fault; with the gateway stopped, "sprawl-edge storage repair"/);

  // Whatever makes a start fail or lose: header, identity, database, the end of the log cut in a record.
  const [first] = logFiles(folder) as [string];
  spoil(join(folder, 'log', first), 30);
  writeFileSync(join(folder, 'identity.json'), '');
  rmSync(join(folder, 'index', 'CURRENT'));
  const last = join(folder, 'log', logFiles(folder).at(-1) as string);
  truncateSync(last, readFileSync(last).length - 5);
  const several = await on(folder, 'storage', 'verify');
  t.equal(several.code, 1);
  t.match(several.out, /identity\.json: it is damaged/);
  t.match(several.out, new RegExp(`${first}, bytes 0 to 63: its header is damaged`));
  t.match(several.out, /the database does not open/);

  const repair = await on(folder, 'storage', 'repair');
  t.equal(repair.code, 0);
  t.match(repair.out, /made \S+identity\.json again from the data/);
  t.match(repair.out, /made the header of \S+ again/);
  t.match(repair.out, /made the database again from the snapshot of position \d+/);
  t.match(repair.out, /lost: \S+, bytes \d+ to \d+: records are damaged; positions \d+\n/);
  t.match(await on(folder, 'storage', 'repair'), { code: 0, out: /^there was nothing to repair\n/ });
  const again = await new ServedFolder(t, folder).ready();
  const got = await again.backlog(({ size }) => size >= 898);
  t.notOk(got.has(400), 'but for what was damaged');
  t.same(
    Array.from({ length: 899 }, (_, n) => n).filter((n) => n !== 400 && !got.has(n)),
    [],
    'and what was cut off',
  );
  await again.end('SIGTERM');
});

t.test(
  'a backup of a running gateway under load, restored elsewhere, has every acknowledged message',
  async (t) => {
    const { served, folder, dir } = await filled(t, 400);
    const backup = join(dir, 'backup');
    const restored = join(dir, 'restored');
    const acknowledged = new Set<number>();
    const load = served.publish(400, 1600, (number) => acknowledged.add(number));
    while (acknowledged.size < 400) await new Promise((resolve) => setImmediate(resolve));
    const before = [...Array(400).keys(), ...acknowledged];
    const made = await on(folder, 'backup', backup);
    t.match(made, { code: 0, out: /everything up to position \d+, \d+ files, .* read back\n$/ });
    await load;
    t.match(await on(backup, 'storage', 'verify'), { code: 0 }, 'a backup can be verified');
    t.match(await on(folder, 'restore', backup), { code: 2, err: /holds data: .*--force/ });
    t.match(await on(folder, 'restore', backup, '--force'), { code: 2, err: /in use by another process/ });
    t.match(await on(restored, 'restore', backup), {
      code: 0,
      out: /^restored \S+ from the backup of \d{4}-/,
    });
    t.match(await on(restored, 'storage', 'verify'), { code: 0 });
    const other = await new ServedFolder(t, restored).ready();
    t.notMatch(other.gateway.err, /cannot be trusted/);
    const got = await other.backlog((numbers) => before.every((number) => numbers.has(number)));
    t.ok(got.size >= before.length);
    await other.end('SIGTERM');

    // The next night: only what is new.
    const next = await on(folder, 'backup', backup);
    t.match(next, { code: 0, out: /KiB of which were there, read back/ });
    await served.end('SIGTERM');
    const forced = await on(folder, 'restore', backup, '--force');
    t.match(forced, { code: 0, out: /^moved what was there to (\S+\.before-restore-\S+)\n/ });
    const aside = /^moved what was there to (\S+)\n/.exec(forced.out)?.[1] ?? '';
    t.ok(existsSync(join(aside, 'identity.json')));
    const again = await new ServedFolder(t, folder).ready();
    t.equal((await again.backlog(({ size }) => size === 2000)).size, 2000);
    await again.end('SIGTERM');
  },
);

t.test('an encrypted folder is backed up without its key, and restored with it', async (t) => {
  const dir = t.testdir({ key: `${'ab'.repeat(32)}\n` });
  const folder = join(dir, 'data');
  const key = ['--set', `storage.encryptionKeyFile=${join(dir, 'key')}`];
  const served = await new ServedFolder(t, folder, key).ready();
  await served.park();
  await served.publish(0, 400);
  const backup = join(dir, 'backup');
  t.match(await on(folder, 'backup', backup), { code: 0 });
  await served.end('SIGTERM');
  t.match(await on(folder, 'storage', 'verify'), { code: 2, err: /encrypted with master key/ });
  t.match(await on(folder, 'storage', 'verify', ...key), { code: 0, out: /400 messages wait/ });
  t.match(await on(folder, 'storage', 'compact', ...key), { code: 0 });
  const restored = join(dir, 'restored');
  t.match(await on(restored, 'restore', backup), { code: 0 });
  t.match(await on(restored, 'storage', 'verify', ...key), { code: 0, out: /none yet: a start makes it/ });
  const other = await new ServedFolder(t, restored, key).ready();
  t.equal((await other.backlog(({ size }) => size === 400)).size, 400);
  await other.end('SIGTERM');
});

t.test('what is wrong on the command line is said in a line', async (t) => {
  const dir = t.testdir({ notes: 'mine' });
  t.match(await runHere(['storage']), { code: 2, err: /"storage" needs one more word/ });
  t.match(await runHere(['backup']), { code: 2, err: /too few arguments: sprawl-edge backup FOLDER/ });
  t.match(await on(join(dir, 'none'), 'storage', 'stats'), { code: 1, err: /none is no data folder/ });
  t.match(await on(join(dir, 'none'), 'restore', dir), {
    code: 1,
    err: /holds no backup: it has no backup\.json/,
  });
  t.match(await runHere(['storage', 'verify', '--help']), { code: 0, out: /Ends with 0 where all is well/ });
});
