import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { copyLevel } from '../../../storage/state/level-copy.js';
import { LevelStore } from '../../../storage/state/level-store.js';

/** Temporary files are below `folder`, until the test is over. */
function temporaryIn(t: Test, folder: string): void {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
}

async function database(t: Test): Promise<string> {
  const folder = join(t.testdir({ temporary: {} }), 'index');
  const store = new LevelStore(folder);
  await store.open(true);
  await store.write(new Map([['k', Buffer.from('v')]]));
  await store.close();
  return folder;
}

t.test('a copy has what the database has, and goes alone', async (t) => {
  const folder = await database(t);
  const temporary = join(folder, '..', 'temporary');
  temporaryIn(t, temporary);
  const copy = await copyLevel(folder);
  await copy.open(false);
  t.same(await copy.get('k'), Buffer.from('v'));
  await copy.close();
  await copy.destroy();
  t.same(readdirSync(temporary), []);
  t.ok(readdirSync(folder).includes('CURRENT'));
});

t.test('a copy that cannot be made leaves nothing, and says where it was to be', async (t) => {
  const folder = await database(t);
  const temporary = join(folder, '..', 'temporary');
  temporaryIn(t, temporary);
  // Behind what is copied before it.
  mkdirSync(join(folder, 'zzz'));
  await t.rejects(copyLevel(folder), {
    message: /^cannot copy the database \S+index to \S+temporary\S+ \(TMPDIR/,
  });
  t.same(readdirSync(temporary), []);
  process.env['TMPDIR'] = join(temporary, 'none');
  await t.rejects(copyLevel(folder), {
    code: 'STORAGE_MISSING',
    message: /^cannot copy the database \S+index below \S+none \(TMPDIR names another .*: it is not there$/,
  });
});
