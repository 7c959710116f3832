/** The log of a folder that nobody uses: what a gateway took in is read, and nothing is changed by it. */
import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import type { OwnMessages } from '../../../lib/contracts/streams.js';
import { type FolderLog, withOwnLog } from '../../../storage/tools/own-log.js';
import { testStoreParts } from '../../support/disk-store.js';
import { filledFolder, flip, imprint, segmentsOf, toolsFor } from '../../support/storage-tools.js';

async function all(log: FolderLog): Promise<{ texts: Map<number, string>; lost: number[] }> {
  const texts = new Map<number, string>();
  const lost: number[] = [];
  for (let at = 1; at <= log.committed;) {
    const own: OwnMessages = await log.readOwn(at, 10_000);
    for (const { position, payload } of own.messages) texts.set(position, Buffer.from(payload).toString());
    if (own.lostFrom > 0) lost.push(own.lostFrom, own.lostTo);
    at = own.next;
  }
  return { texts, lost };
}

for (const isClosed of [true, false])
  t.test(`a folder that was ${isClosed ? 'closed' : 'left by a crash'} is read to its end`, async (t) => {
    const folder = await filledFolder(400, 300, isClosed);
    const before = imprint(folder);
    await withOwnLog(toolsFor(folder), async (log) => {
      if (log === undefined) throw new Error('nobody uses it');
      const { texts, lost } = await all(log);
      t.same([...texts], [...folder.filling.texts]);
      t.same(lost, []);
      t.equal(log.first, 1);
      t.ok(log.committed >= Math.max(...texts.keys()));
    });
    t.equal(imprint(folder), before, 'nothing was changed');
  });

t.test('what is damaged or gone is told as lost, and all else is read', async (t) => {
  const folder = await filledFolder(400, 300);
  const { files, filling } = folder;
  const [first = '', second = '', third = '', fourth = ''] = segmentsOf(files);
  const firstOf = (path: string): number => Number(/(\d+)\.log$/.exec(path)?.[1]);
  await files.remove(first);
  flip(files, second, 200);
  flip(files, third, 3);
  files.overwrite('/data/log/readme.txt', Buffer.from('no segment'));
  await withOwnLog(toolsFor(folder), async (log) => {
    if (log === undefined) throw new Error('nobody uses it');
    t.equal(log.first, firstOf(second));
    const { texts, lost } = await all(log);
    t.same(lost.slice(0, 1), [1]);
    t.ok(lost.includes(firstOf(third)) || lost.some((one) => one > firstOf(second)));
    for (const [position, text] of filling.texts) {
      if (position >= firstOf(fourth)) t.equal(texts.get(position), text);
      if (position < firstOf(second) || (position >= firstOf(third) && position < firstOf(fourth)))
        t.notOk(texts.has(position));
    }
  });
});

t.test('a folder that is in use, is none, or is nobody’s is said to be so', async (t) => {
  const folder = await filledFolder(20, 10);
  folder.databases.of('/data/lock').open = async () => {
    throw new SprawlError('STORAGE_LOCKED', 'in use');
  };
  t.equal(await withOwnLog(toolsFor(folder), async (log) => log), undefined);
  await t.rejects(
    withOwnLog(toolsFor(testStoreParts()), async (log) => log),
    { code: 'STORAGE_MISSING' },
  );
  const alone = await filledFolder(20, 10);
  for (const path of alone.files.paths())
    if (/identity|\/log\/|snapshots/.test(path)) await alone.files.remove(path);
  await t.rejects(
    withOwnLog(toolsFor(alone), async (log) => log),
    { code: 'STORAGE_CORRUPT', message: /nothing in \/data tells whose log/ },
  );
});
