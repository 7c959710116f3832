import t from 'tap';
import type { PassedRun } from '../../../lib/contracts/store.js';
import type { OwnMessages, OwnReadOptions } from '../../../lib/contracts/streams.js';
import { createMessage, type Message, type MessageFields } from '../../../lib/message/message.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import { recordTypeName } from '../../../storage/records/record-type.js';
import { repairFolder, surveyFolder } from '../../../storage/tools/index.js';
import { RecordedSessions, testStore, testStoreParts } from '../../support/disk-store.js';
import { str } from '../../support/protocol-bytes.js';
import { CLIENT, openStore, park, publish, textMessage, toolsFor } from '../../support/storage-tools.js';

const NOTHING_KEPT = { keepMaxBytes: 0, keepMaxAgeMs: 0 };
const PASSED = { passed: true };

function passing(text: string, fields: Partial<MessageFields> = {}): Message {
  return createMessage({
    ...{ topic: 'meter', topicBytes: str('meter'), payload: Buffer.from(text), qos: 0, retain: false },
    ...{ publisher: 'pump', ...fields },
  });
}

function runOf(texts: readonly string[]): PassedRun {
  const bytes = Buffer.from(texts.join('|'));
  return {
    bytes,
    publisher: 'pump',
    forEachPayload: (visit) => {
      let at = 0;
      for (const text of texts) {
        visit(at, at + text.length);
        at += text.length + 1;
      }
    },
  };
}

function readOwn(store: DiskStore, from: number, options?: OwnReadOptions): Promise<OwnMessages> {
  return new Promise((resolve) => store.readOwn(from, 1 << 20, resolve, options));
}

/** All that is there, with what is said to be lost. */
async function readAllOwn(
  store: DiskStore,
  options?: OwnReadOptions,
): Promise<{ readonly texts: string[]; readonly lost: number[] }> {
  const texts: string[] = [];
  const lost: number[] = [];
  for (let at = 1; at <= store.committed;) {
    const { messages, next, lostFrom, lostTo } = await readOwn(store, at, options);
    for (const { payload } of messages) texts.push(Buffer.from(payload).toString());
    if (lostTo > 0) lost.push(lostFrom, lostTo);
    at = next;
  }
  return { texts, lost };
}

t.test('what passed is read by who asks for it, with its time, and by nobody else', async (t) => {
  const parts = testStoreParts();
  const { store } = await openStore(parts);
  const startMs = parts.clock.wallTime;
  const single = passing('one', { properties: Uint8Array.of(1, 0), expiresAt: 5000 });
  store.appendPassed(single);
  t.equal(single.position, 0, 'nothing may wait for it');
  parts.clock.wallTime += 7;
  store.append(textMessage('acknowledged', 'two'), undefined);
  parts.clock.wallTime += 7;
  store.appendPassedRun(runOf(['three', '', 'x'.repeat(300)]), str('meter'));
  await store.log.flush();
  t.equal(store.passedCount, 4);
  const own = await readOwn(store, 1, PASSED);
  const described = own.messages.map(({ topic, payload, qos, publisher }, i) => {
    const ms = (own.wallMs[i] ?? 0) - startMs;
    return `${topic} ${Buffer.from(payload).toString().slice(0, 5)} ${qos} ${publisher} ${ms}`;
  });
  t.same(described, [
    'meter one 0 pump 0',
    'acknowledged two 1  7',
    'meter three 0 pump 14',
    'meter  0 pump 14',
    'meter xxxxx 0 pump 14',
  ]);
  t.match(own.messages[0], { properties: Uint8Array.of(1, 0), expiresAt: 5000, retain: false });
  t.equal(own.messages[4]?.payloadLength, 300);
  t.same(
    own.messages.map(({ position }) => position),
    [1, 3, 4, 5, 6],
    'the second position is the time that the acknowledged message has in front of it',
  );
  const without = await readOwn(store, 1);
  t.same(
    without.messages.map(({ topic }) => topic),
    ['acknowledged'],
  );
  t.same(without.wallMs, [startMs + 7]);
  t.equal(without.next, own.next, 'it comes as far');
  t.same((await readOwn(store, 1, { passed: false })).messages.length, 1);
  await store.close();
});

t.test('who does not want what passed is told how far it has come through much of it', async (t) => {
  const { store } = await openStore(testStoreParts(), { segmentMaxBytes: 1 << 26 });
  for (let n = 0; n < 40; n++) store.appendPassed(passing('x'.repeat(1_000_000)));
  store.append(textMessage('t', 'behind it'), undefined);
  await store.log.flush();
  const first = await readOwn(store, 1);
  t.same(first.messages, []);
  t.ok(first.next > 10 && first.next < 30, `it stopped in front of ${first.next}`);
  t.same(await readAllOwn(store), { texts: ['behind it'], lost: [] });
  await store.close();
});

t.test('after a restart nobody gets what passed, and it is in the log', async (t) => {
  for (const isKilled of [true, false]) {
    const parts = testStoreParts();
    const first = await openStore(parts);
    park(first.store, CLIENT);
    first.store.appendPassed(passing('one'));
    first.store.appendPassedRun(runOf(['two', 'three']), str('meter'));
    first.store.append(textMessage('meter', 'acknowledged'), undefined);
    await first.store.log.flush();
    const { committed } = first.store;
    if (!isKilled) await first.store.close();
    const { store, sessions } = await openStore(parts);
    const got = sessions.messages.map(({ payload }) => Buffer.from(payload).toString());
    t.same(got, isKilled ? ['acknowledged'] : [], 'but for what no checkpoint has');
    t.same(sessions.retained, []);
    t.same(
      sessions.steps.filter(({ kind }) => kind !== 'created'),
      [],
    );
    t.equal(store.createQueue(CLIENT).count, 0);
    t.same(store.losses, []);
    t.equal(store.committed, committed);
    t.equal(store.passedCount, 0, 'since it was opened');
    t.same((await readAllOwn(store, PASSED)).texts, ['one', 'two', 'three', 'acknowledged']);
    await store.close();
  }
});

t.test('who looks for messages of a topic finds those that were acknowledged, as ever', async (t) => {
  const parts = testStoreParts();
  let { store } = await openStore(parts);
  store.appendPassed(passing('passed'));
  store.append(textMessage('meter', 'acknowledged'), undefined);
  park(store, CLIENT);
  // So much that there are snapshots behind it.
  await publish(store, { texts: new Map(), waiting: [] }, 1000, 1000);
  await store.settled();
  const found = async (): Promise<string[]> =>
    (await store.find('meter', 0, Infinity, 1)).map(({ payload }) => Buffer.from(payload).toString());
  t.same(await found(), ['acknowledged']);
  await store.close();
  // With the index of topics made again from the log, once by a start and once by the tool.
  parts.databases.of('/data/index').values.clear();
  ({ store } = await openStore(parts));
  t.ok((store.rebuild?.from ?? 0) > 1);
  await store.settled();
  t.same(await found(), ['acknowledged']);
  await store.close();
  parts.databases.of('/data/index').values.clear();
  await repairFolder(toolsFor(parts));
  ({ store } = await openStore(parts));
  t.same(await found(), ['acknowledged']);
  await store.close();
});

t.test('the tools know what passed: it is no fault, it has a time, and nobody waits for it', async (t) => {
  const parts = testStoreParts();
  const { store } = await openStore(parts);
  park(store, CLIENT);
  await publish(store, { texts: new Map(), waiting: [] }, 1000, 1000);
  await store.settled();
  parts.clock.wallTime += 5000;
  for (let n = 0; n < 10; n++) store.appendPassed(passing(`${n}`));
  await store.close();
  // What a folder of LevelDB would have.
  parts.files.overwrite('/data/index/CURRENT', Buffer.from('MANIFEST\n'));
  const { faults, notes, log, state } = await surveyFolder(toolsFor(parts));
  t.same([faults, notes], [[], []]);
  const counts = Object.fromEntries([...log.types].map(([type, { count }]) => [recordTypeName(type), count]));
  t.equal(counts['passed'], 10);
  t.equal(log.segments.at(-1)?.newestMs, parts.clock.wallTime);
  t.match(state, { waiting: 0, lostBlocks: [] });
});

/** Passes messages, and every now and then one comes that waits for CLIENT. */
async function passAndPark(store: DiskStore, count: number): Promise<void> {
  const queue = store.createQueue(CLIENT);
  for (let n = 0; n < count; n++) {
    store.appendPassed(passing(`${n}`.padEnd(200, '.')));
    if (n % 20 !== 19) continue;
    const message = textMessage('t', `waits ${n}`);
    store.append(message, undefined);
    queue.push(message, 1, undefined);
    await store.log.flush();
    await store.settled();
  }
}

t.test('what passed is let go with the log around what waits, unless somebody holds the log', async (t) => {
  for (const isHeld of [false, true]) {
    const { store } = await openStore(testStoreParts(), NOTHING_KEPT);
    park(store, CLIENT);
    if (isHeld) store.setFloor('archive', 1);
    await passAndPark(store, 3000);
    const { texts, lost } = await readAllOwn(store, PASSED);
    const passed = texts.filter((text) => !text.startsWith('waits'));
    t.equal(store.createQueue(CLIENT).count, 150);
    t.equal(texts.length - passed.length, 150, 'what waits is there');
    if (isHeld) {
      t.equal(passed.length, 3000);
      t.same(lost, []);
      t.equal(store.status.compactedBytes, 0);
      store.setFloor('archive', undefined);
      await passAndPark(store, 200);
      t.ok(store.status.prunedBytes + store.status.compactedBytes > 0, 'when it is held no more');
    } else {
      t.ok(passed.length < 1000, `${passed.length} of 3000 are left`);
      t.ok(store.status.compactedBytes > 400_000, `${store.status.compactedBytes} bytes became free`);
    }
    await store.close();
  }
});

t.test('it leaves room in the log and on the way to it to what somebody waits for', async (t) => {
  const store = testStore(testStoreParts(), { diskMaxBytes: 160_000, pendingMaxBytes: 10_000 });
  await store.open(new RecordedSessions());
  t.equal(store.admit(5000, false), 0);
  t.equal(store.admit(6000, false), 0x97, 'half of what may wait for the disk');
  t.equal(store.admit(6000), 0);
  for (let n = 0; store.admit(1000, false) === 0; n++) {
    store.append(textMessage('t', 'x'.repeat(1000)), undefined);
    await store.log.flush();
    if (n > 200) break;
  }
  t.ok(store.logBytes >= 148_000 && store.logBytes <= 150_000, `${store.logBytes} of 160,000 bytes`);
  t.equal(store.admit(1000), 0);
  await store.close();
  t.equal(store.admit(1, false), 0x83, 'nor does a closed store take any');
});

t.test('nothing that somebody waits for is held up by what passed', async (t) => {
  const parts = testStoreParts();
  const { store } = await openStore(parts);
  park(store, CLIENT);
  store.record({ kind: 'released', clientId: CLIENT, packetId: 1 });
  await store.log.flush();
  store.appendPassed(passing('x'));
  const position = store.record({ kind: 'released', clientId: 'nobody', packetId: 1 });
  t.ok(position <= store.committed, 'a step that is not written is stored with what was before');
  t.ok(store.recordNote('none') <= store.committed);
  t.ok(store.log.position > store.committed);
  await store.close();
});
