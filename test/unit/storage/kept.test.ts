import t from 'tap';
import type { KeptPart, KeptParts } from '../../../lib/contracts/store.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import { surveyFolder } from '../../../storage/tools/index.js';
import { testStoreParts } from '../../support/disk-store.js';
import { openStore, textMessage, toolsFor } from '../../support/storage-tools.js';

const NOTHING_KEPT = { keepMaxBytes: 0, keepMaxAgeMs: 0 };

function readKept(store: DiskStore, from: number, maxBytes = 1 << 20): Promise<KeptParts> {
  return new Promise((resolve) => store.readKept(from, maxBytes, resolve));
}

async function readAll(store: DiskStore, maxBytes?: number): Promise<KeptPart[]> {
  const all: KeptPart[] = [];
  for (let at = 1; at <= store.committed;) {
    const { parts, next } = await readKept(store, at, maxBytes);
    all.push(...parts);
    at = next;
  }
  return all;
}

const textsOf = (parts: readonly KeptPart[]): string[] =>
  parts.map(({ name, bytes }) => `${name} ${Buffer.from(bytes).toString()}`);

t.test('what is kept for others is read by name and position, and comes back to nobody else', async (t) => {
  const parts = testStoreParts();
  const first = await openStore(parts);
  const position = first.store.appendKept('standby/one', Buffer.from('first'));
  first.store.append(textMessage('t', 'of this gateway'), undefined);
  first.store.appendKept('standby/two', Buffer.from('second'));
  t.same((await readKept(first.store, 1)).parts, [], 'before it is committed nobody sees it');
  await first.store.log.flush();
  const found = await readAll(first.store);
  t.same(textsOf(found), ['standby/one first', 'standby/two second']);
  t.equal(found[0]?.position, position);
  t.same(textsOf(await readAll(first.store, 1)), textsOf(found), 'one at a time, too');
  t.same((await readKept(first.store, position + 1)).parts.length, 1);
  // It was killed.
  const { store, sessions } = await openStore(parts);
  t.same(textsOf(await readAll(store)), textsOf(found));
  t.equal(sessions.messages.length, 1);
  const own = await new Promise<readonly unknown[]>((resolve) =>
    store.readOwn(1, 1 << 20, ({ messages }) => resolve(messages), { passed: true }),
  );
  t.equal(own.length, 1, 'it is nothing that this gateway took in');
  await store.close();
  t.same((await surveyFolder(toolsFor(parts))).faults, []);
});

t.test('a floor holds it however much comes behind it, and without one it goes', async (t) => {
  for (const isHeld of [true, false]) {
    const parts = testStoreParts();
    const { store } = await openStore(parts, { ...NOTHING_KEPT, floorsMaxBytes: 1000 });
    const position = store.appendKept('standby/one', Buffer.from('kept'));
    if (isHeld) store.setFloor('standby/one', position);
    for (let n = 0; n < 3000; n++) {
      store.append(textMessage('t', 'x'.repeat(200)), undefined);
      if (n % 20 === 19) await store.log.flush();
    }
    await store.settled();
    t.equal(textsOf(await readAll(store)).length, isHeld ? 1 : 0);
    await store.close();
  }
});
