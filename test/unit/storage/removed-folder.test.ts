import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import {
  RecordedSessions,
  testStore,
  testStoreParts,
  type TestStoreParts,
} from '../../support/disk-store.js';
import { str } from '../../support/protocol-bytes.js';

const message = (): Message =>
  createMessage({ topic: 't', topicBytes: str('t'), payload: Buffer.from('x'), qos: 1, retain: false });

/** With a message in its log, whose folder is then removed; or only the segment that is written to. */
async function removedUnder(parts: TestStoreParts, withFolder: boolean): Promise<DiskStore> {
  const store = testStore(parts);
  await store.open(new RecordedSessions());
  store.append(message(), undefined);
  await store.log.flush();
  for (const { path } of store.log.segments) parts.files.delete(path);
  parts.files.onOperation = (operation, path) => {
    if (withFolder && operation === 'open' && path.includes('/log/'))
      throw new SprawlError('STORAGE_MISSING', `cannot open ${path}: it is not there`);
  };
  // The next look is due.
  parts.clock.time += 1000;
  return store;
}

async function expectFault(t: Test, store: DiskStore): Promise<void> {
  while (store.status.fault === undefined) await sleep(1);
  t.match(
    store.status.fault,
    /was removed or moved while the gateway runs: stop it, put the data folder back/,
  );
  t.equal(store.admit(1), 0x83);
}

t.test(
  'nothing is acknowledged that goes to a folder that was removed, until it is there again',
  async (t) => {
    const parts = testStoreParts();
    const store = await removedUnder(parts, true);
    const { committed } = store;
    store.append(message(), undefined);
    await expectFault(t, store);
    await store.log.flush(60);
    await expectFault(t, store);
    t.equal(store.committed, committed);
    parts.files.onOperation = () => {};
    while (store.status.fault !== undefined) await sleep(5);
    t.ok(store.committed > committed, 'what was pending is written');
    t.equal(store.admit(1), 0);
    await store.close();
  },
);

t.test('a gateway that only is asked how it is notices it, too', async (t) => {
  const parts = testStoreParts();
  const store = await removedUnder(parts, true);
  await expectFault(t, store);
  parts.files.onOperation = () => {};
  await store.log.flush();
  t.equal(store.status.fault, undefined, 'and goes on by itself');
  await store.close();
});

t.test('after a segment that was removed alone a fresh one is begun', async (t) => {
  const parts = testStoreParts();
  const store = await removedUnder(parts, false);
  const position = store.append(message(), undefined);
  await store.log.flush();
  t.ok(store.committed >= position);
  t.equal(store.status.faults, 1);
  t.ok(parts.files.has(store.log.segments.at(-1)?.path ?? ''));
  await store.close();
});
