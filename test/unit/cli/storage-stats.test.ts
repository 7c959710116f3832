import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { createMessage } from '../../../lib/message/message.js';
import { realClock, realTimers } from '../../../lib/real-clock.js';
import { createDiskStore } from '../../../storage/index.js';
import { runHere } from '../../integration/cli-in-process.js';
import { RecordedSessions } from '../../support/disk-store.js';
import { nullLogger } from '../../support/null-logger.js';
import { str } from '../../support/protocol-bytes.js';

t.test('storage stats and verify tell what a folder holds, and that one holds nothing', async (t) => {
  const folder = t.testdir();
  t.match(await runHere(['storage', 'stats', '--data-dir', `${folder}/nothing`]), { code: /[012]/ });
  const store = createDiskStore(
    {
      dataDir: `${folder}/data`,
      memoryTopics: [],
      ...{
        commitDelayMs: 0,
        segmentMaxBytes: 65_536,
        checkpointEveryBytes: 65_536,
        snapshotEveryBytes: 65_536,
      },
      ...{
        keepMaxBytes: 1 << 30,
        keepMaxAgeS: 1e9,
        diskMaxBytes: 1 << 30,
        diskReserveBytes: 0,
        pendingMaxBytes: 1 << 20,
      },
    },
    {
      ...{ clock: realClock, continueClock: () => undefined, timers: realTimers, logger: nullLogger },
      ...{ schedule: setImmediate, randomBytes },
    },
  );
  await store.open(new RecordedSessions());
  store.record({ kind: 'created', clientId: 'c', username: undefined, expiryS: 60, will: undefined });
  for (let n = 0; n < 1500; n++) {
    const payload = Buffer.alloc(200);
    store.append(
      createMessage({ topic: 't', topicBytes: str('t'), payload, qos: 1, retain: false }),
      undefined,
    );
    if (n % 100 === 99) await store.log.flush();
  }
  await store.settled();
  await store.close();
  const dir = ['--data-dir', `${folder}/data`];
  for (const command of ['stats', 'verify', 'repair', 'compact']) {
    const { code, out } = await runHere(['storage', command, ...dir]);
    t.equal(code, 0, command);
    t.ok(out.length > 20, command);
  }
  const { out } = await runHere(['storage', 'stats', ...dir, '--json']);
  t.type(JSON.parse(out), 'object');
  t.match(await runHere(['backup', `${folder}/backup`, ...dir]), { code: 0 });
  t.match(await runHere(['restore', `${folder}/backup`, '--data-dir', `${folder}/again`]), { code: 0 });
  t.match(await runHere(['storage', 'verify', '--data-dir', `${folder}/again`]), { code: 0 });
  t.match(await runHere(['restore', `${folder}/backup`, '--data-dir', `${folder}/again`]), {
    code: 2,
    err: /force/,
  });
  // A changed bit in the middle of the oldest segment, a database and an identity that are gone.
  const [segment = ''] = readdirSync(`${folder}/again/log`).sort();
  const path = `${folder}/again/log/${segment}`;
  const bytes = readFileSync(path);
  bytes[5000] = (bytes[5000] as number) ^ 1;
  writeFileSync(path, bytes);
  const broken = ['--data-dir', `${folder}/again`];
  t.match(await runHere(['storage', 'verify', ...broken]), { code: 1, out: /damaged/ });
  t.match(await runHere(['storage', 'stats', ...broken]), { code: 0 });
  rmSync(`${folder}/again/index`, { recursive: true, force: true });
  rmSync(`${folder}/again/identity.json`);
  writeFileSync(`${folder}/again/snapshots/0000000000000900.snapshot`, 'half of one');
  t.type((await runHere(['storage', 'verify', ...broken])).code, 'number');
  t.match(await runHere(['storage', 'stats', ...broken]), { code: 0 });
  t.match(await runHere(['storage', 'repair', ...broken]), { code: 0, out: /identity/ });
  t.match(await runHere(['storage', 'stats', ...broken]), { code: 0 });
});
