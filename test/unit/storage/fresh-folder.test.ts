/** A folder that is filled from elsewhere: whole, or one that no gateway starts on. */
import t from 'tap';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { expectFillable, fillFolder } from '../../../storage/tools/fresh-folder.js';
import { testStoreParts, type TestStoreParts } from '../../support/disk-store.js';
import { openStore, readTexts, textMessage, toolsFor } from '../../support/storage-tools.js';

async function fill(parts: TestStoreParts, texts: readonly string[]): Promise<LogPosition> {
  const { store } = await openStore(parts, { isRestoring: true });
  for (const text of texts) store.append(textMessage('t', text), undefined);
  await store.log.flush();
  const { committed } = store;
  await store.close();
  return committed;
}

t.test('until it is filled no gateway starts on it, and it is begun again', async (t) => {
  const parts = testStoreParts();
  const tools = toolsFor(parts);
  const crash = fillFolder(tools, 'an archive', async () => {
    await fill(parts, ['one', 'two', 'three']);
    throw new Error('the power fails');
  });
  await t.rejects(crash, { message: 'the power fails' });
  await t.rejects(openStore(parts), { code: 'BACKUP_UNFINISHED', message: /half restored: run the same/ });
  await t.rejects(
    fillFolder(tools, 'another archive', () => fill(parts, [])),
    { code: 'BACKUP_FOLDER_REFUSED', message: /part of what was to be restored from elsewhere/ },
  );
  await expectFillable(tools, undefined);
  t.equal(await fillFolder(tools, 'an archive', () => fill(parts, ['one', 'two'])), 3);
  t.same([...(await readTexts(parts)).values()], ['one', 'two']);
  for (const source of ['an archive', undefined])
    await t.rejects(expectFillable(tools, source), {
      code: 'BACKUP_FOLDER_REFUSED',
      message: /\/data holds data: /,
    });
});
