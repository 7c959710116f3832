/** What a log says of an archive: each message that belongs there, in whatever entry, merge, life and format it is. */
import t, { type Test } from 'tap';
import { type ArchiveConfig, fingerprintOf, keepConfig } from '../../../bridge/archive/archive-config.js';
import { decodeEntry, encodeEntry } from '../../../bridge/archive/manifest-entry.js';
import { entryKey } from '../../../bridge/archive/manifest.js';
import type { FileFormat } from '../../../bridge/archive/object-key.js';
import { checkAgainstLog, type CheckedLog } from '../../../bridge/archive/proof/log-check.js';
import { logLines } from '../../../bridge/archive/proof/log-blocks.js';
import {
  decodeFacts,
  decodeLine,
  encodeBlock,
  type GatewayLog,
  type LogBlock,
} from '../../../bridge/archive/proof/log-mark.js';
import type { Finding } from '../../../bridge/archive/reading/archive-check.js';
import type { ArchiveRow } from '../../../bridge/archive/row.js';
import {
  ArchiveWorld,
  type CutOptions,
  FIRST_LIFE,
  ORIGIN,
  rowOf,
  rowsOf,
} from '../../support/archive-world.js';
import { compact, NOW_MS } from '../../support/compaction-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';
import { logOf } from '../../support/own-log.js';

const CONFIG: ArchiveConfig = {
  topics: ['site/#'],
  ...{ format: 'parquet', compression: 'snappy', columns: [], site: 'harbour' },
  partitions: { by: 'day', topicLevels: 2 },
};
const SECOND_LIFE = { counter: 2, nonce: '00000000000000bb' };
const ENTRIES = `manifest/${ORIGIN}/entries/`;

class World {
  readonly store = new MemoryObjectStore();
  readonly archive: ArchiveWorld;

  constructor(t: Test, format: FileFormat = 'parquet') {
    this.archive = new ArchiveWorld(t, this.store, { format });
  }

  async cut(upTo: number, rows: readonly ArchiveRow[], options: CutOptions = {}): Promise<void> {
    await keepConfig(this.store, ORIGIN, CONFIG);
    await this.archive.cut(upTo, rows, { config: fingerprintOf(CONFIG), ...options });
  }
}

interface Judged {
  readonly log: CheckedLog;
  readonly faults: readonly string[];
  readonly notes: readonly string[];
  readonly findings: readonly Finding[];
}

async function judge({ store }: World, log: GatewayLog): Promise<Judged> {
  const findings: Finding[] = [];
  const onFinding = (finding: Finding): void => void findings.push(finding);
  const checked = await checkAgainstLog(store, log, { onFinding, onProgress: () => undefined });
  const text = ({ kind, key, text: what }: Finding): string => `${kind} ${key.replace(ENTRIES, '')}: ${what}`;
  t.equal(checked.faultCount, findings.filter(({ isFault }) => isFault).length);
  return {
    log: checked,
    faults: findings.filter(({ isFault }) => isFault).map(text),
    notes: findings.filter(({ isFault }) => !isFault).map(text),
    findings,
  };
}

for (const format of ['parquet', 'ndjson'] as const)
  t.test(`${format}: an archive that has what the log has is as it should be`, async (t) => {
    const world = new World(t, format);
    const lines = rowOf(4, { payload: Buffer.from('{\n"n":\r4}') });
    const others = [rowOf(9, { topic: 'other' }), rowOf(14, { topic: 'other' })];
    const rows = [...rowsOf(1, 3), lines, ...rowsOf(5, 7), rowOf(12, { retain: true, qos: 2 })];
    await world.cut(10, rows.slice(0, 7));
    await world.cut(13, rows.slice(7));
    const { log, faults, notes } = await judge(
      world,
      logOf([...rows, ...others].sort((a, b) => a.sequence - b.sequence)),
    );
    t.same([faults, notes], [[], []]);
    t.match(log, { origin: ORIGIN, first: 1, committed: 14, same: 8, backlog: { messages: 0, bytes: 0 } });
  });

t.test(
  'what is missing, twice, different or made up is named by entry, position, life and topic',
  async (t) => {
    const world = new World(t);
    const log = rowsOf(1, 30);
    const kept = log.filter(({ sequence }) => sequence < 3 || sequence > 6);
    const changed = kept.map((row) => (row.sequence === 9 ? { ...row, qos: 0, topic: 'site/x' } : row));
    const rows = [...changed, rowOf(8)].sort((a, b) => a.sequence - b.sequence);
    await world.cut(
      20,
      rows.filter(({ sequence }) => sequence <= 20),
    );
    await world.cut(31, [...rows.filter(({ sequence }) => sequence > 20), rowOf(31)]);
    const { faults, findings, log: checked } = await judge(world, logOf(log, { committed: 40 }));
    t.same(faults, [
      'missing 000000000001.json: positions 3 to 6 of life 1, 4 messages, topics "site/a", "site/b", "site/c": the log has it, and no row does',
      'twice 000000000001.json: position 8 of life 1, topic "site/c": there is more than one row of it',
      'differs 000000000001.json: position 9 of life 1, topic "site/a": its row and the log differ (topic, QoS)',
      'unknown 000000000002.json: position 31 of life 1, topic "site/b": there is a row, and there should be none (the log has no message of a client there)',
    ]);
    t.match(findings[0], {
      positions: [3, 6],
      proof: { count: 4, epoch: 1, topics: ['site/a', 'site/b', 'site/c'] },
    });
    t.match(checked, { same: 25, wrong: { missing: 4, twice: 1, differs: 1, unknown: 1 } });
  },
);

t.test('what the log does not have is not judged, and what waits is no fault', async (t) => {
  const world = new World(t);
  await world.cut(10, rowsOf(1, 10));
  await world.cut(20, rowsOf(11, 15), { lost: [[16, 18]] });
  const log = [...rowsOf(5, 24), rowOf(25, { topic: 'other' })];
  const { faults, notes, log: checked } = await judge(world, logOf(log, { first: 5, damaged: [7, 8] }));
  // 19 and 20 are in no row and were not told as lost.
  t.match(faults, [/^missing 000000000002.json: positions 19 to 20 of life 1, 2 messages/]);
  t.same(
    notes.map((note) => note.replace(/^log \S*: /, '')),
    [
      'the log cannot read all of positions 5 to 8, or does not have them any more: what it does not have was not judged',
      'the log begins at position 5: what is before it was judged by the manifest alone',
      '2 rows are of positions that this log does not have, or cannot read',
      '3 messages are in the log still that entries tell as lost: given up, and in no row',
      '4 messages are waiting to be archived: 32 bytes',
    ],
  );
  t.match(checked, { same: 9, backlog: { messages: 4, bytes: 32 } });
  const behind = await judge(world, logOf(rowsOf(100, 101), { first: 100 }));
  t.match(behind.notes, [/begins at position 100/, /2 messages are waiting to be archived: 18 bytes/]);
  t.equal(behind.log.same, 0);
});

t.test('entries that were removed from the end of a manifest are missed by who wrote them', async (t) => {
  const world = new World(t);
  for (const end of [10, 20]) await world.cut(end, rowsOf(end - 9, end));
  const log = { ...logOf(rowsOf(1, 20)), lastEntry: 2 };
  t.same((await judge(world, log)).faults, []);
  world.store.objects.delete(entryKey(ORIGIN, 2));
  t.match((await judge(world, log)).faults, [/^manifest 000000000002.json: is missing: .* up to 2 there$/]);
  t.same((await judge(world, logOf(rowsOf(1, 20)))).faults, [], 'a log alone takes it for what waits');
});

t.test(
  'a merge stands in the place of its entries, and each of them has its own configuration',
  async (t) => {
    const world = new World(t);
    const narrow = { ...CONFIG, topics: ['site/a'] };
    await keepConfig(world.store, ORIGIN, narrow);
    const log = rowsOf(1, 30);
    const ofNarrow = (row: ArchiveRow): boolean => row.topic === 'site/a';
    await world.cut(10, rowsOf(1, 10));
    await world.cut(20, log.slice(10, 20).filter(ofNarrow), { config: fingerprintOf(narrow) });
    await world.cut(30, rowsOf(21, 29));
    await compact(world.store, NOW_MS);
    await compact(world.store, NOW_MS + 2_000_000);
    const { faults, notes, log: checked } = await judge(world, logOf(log));
    t.match(faults, [/^missing 000000000003.json: position 30 of life 1/]);
    t.same(notes, []);
    t.equal(checked.same, 22);
    const wide = await judge(
      world,
      logOf([...log.slice(0, 11), rowOf(12, { topic: 'other' }), ...log.slice(12)]),
    );
    t.match(wide.faults[0], /^unknown 000000000002.json: position 12 .*its topic was none of those/);
  },
);

t.test(
  'a data folder that was put back is compared with what it shares, and with what came after',
  async (t) => {
    const world = new World(t);
    await world.cut(20, rowsOf(1, 20));
    const second = rowsOf(11, 25, { payload: Buffer.from('of the second life') });
    await world.cut(25, second, { after: 10, epoch: SECOND_LIFE });
    const lineage = [
      { ...FIRST_LIFE, after: 0 },
      { ...SECOND_LIFE, after: 10 },
    ];
    const log = [...rowsOf(1, 10), ...second];
    const { faults, notes, log: checked } = await judge(world, logOf(log, { lineage }));
    t.same(faults, []);
    t.match(notes, [/10 rows are of positions that this log does not have/]);
    t.equal(checked.same, 25);

    const clone = { counter: 2, nonce: '00000000000000cc' };
    const cloned = await judge(
      world,
      logOf(rowsOf(1, 20), {
        lineage: [
          { ...FIRST_LIFE, after: 0 },
          { ...clone, after: 20 },
        ],
      }),
    );
    t.same(cloned.faults, []);
    t.match(cloned.notes, [/15 rows are of lives that this log knows nothing of/]);

    const third = { counter: 3, nonce: '00000000000000dd' };
    await world.cut(30, [...rowsOf(8, 10), ...second, ...rowsOf(26, 30)], { after: 7, epoch: third });
    const again = await judge(
      world,
      logOf([...log, ...rowsOf(26, 30)], { lineage: [...lineage, { ...third, after: 25 }] }),
    );
    t.same(again.faults, []);
    t.match(again.notes[0], /positions 8 to 25 were archived a second time, as of life 3/);

    const late = { counter: 9, nonce: '00000000000000ee' };
    const forgot = await judge(world, logOf(rowsOf(1, 22), { lineage: [{ ...late, after: 7 }] }));
    t.same(
      forgot.faults.length,
      0,
      'lives that a gateway has forgotten are its own up to the first that it knows',
    );
    t.equal(forgot.log.same, 7);
  },
);

t.test(
  'entries that leave a part of the log out are found, and those that are of none are told',
  async (t) => {
    const world = new World(t);
    await world.cut(10, rowsOf(6, 10), { after: 5 });
    const lineage = [
      { ...FIRST_LIFE, after: 0 },
      { ...SECOND_LIFE, after: 8 },
    ];
    await world.cut(20, rowsOf(11, 20), { epoch: SECOND_LIFE, after: 10 });
    const { faults, notes } = await judge(world, logOf(rowsOf(1, 20), { lineage }));
    t.match(faults, [/^missing 000000000001.json: positions 9 to 10 of life 2, 2 messages/]);
    t.match(notes, [/archive begins behind position 5/, /2 rows are of positions/]);
    const strange = logOf(rowsOf(1, 3), { lineage: [{ counter: 1, nonce: '00000000000000ff', after: 0 }] });
    t.match((await judge(world, strange)).notes, [
      /no entry is of the lives of this log: the log has positions 1 to 3/,
      /15 rows are of lives that this log knows nothing of/,
      /3 messages are waiting.*: 21 bytes/,
    ]);
    const none = await judge(new World(t), logOf([]));
    t.match(none.notes, [/no entry is of the lives of this log: the log is empty/]);
  },
);

t.test('of entries whose configuration is not there no message can be missed', async (t) => {
  const world = new World(t);
  await world.cut(10, rowsOf(1, 9), { config: 'ffff' });
  const { faults, notes } = await judge(
    world,
    logOf(rowsOf(1, 10).map((row) => (row.sequence === 2 ? { ...row, qos: 0 } : row))),
  );
  t.match(faults, [/^differs 000000000001.json: position 2 .*\(QoS\)$/]);
  t.match(notes, [/configuration ffff was not kept/, /one message is in the log and in no row, and whether/]);
  const changed = new World(t);
  await changed.cut(10, rowsOf(1, 10));
  const key = `manifest/${ORIGIN}/configs/${fingerprintOf(CONFIG)}.json`;
  changed.store.objects.set(key, Buffer.from('{}'));
  t.match((await judge(changed, logOf(rowsOf(1, 10)))).faults, [
    /^manifest 000000000001.json: .*which was changed$/,
  ]);
});

t.test('what cannot be read of the archive hides nothing else', async (t) => {
  const world = new World(t);
  for (const end of [10, 20, 30]) await world.cut(end, rowsOf(end - 9, end));
  const log = logOf(rowsOf(1, 31));
  const [, , , fourth = ''] = world.archive.keys;
  const bytes = world.store.objects.get(fourth) ?? new Uint8Array(0);
  world.store.objects.set(
    fourth,
    Uint8Array.from(bytes, (byte, i) => (i === 9 ? byte ^ 1 : byte)),
  );
  const damaged = await judge(world, log);
  t.match(damaged.faults, [/^object data.*: was changed.*: not all of positions 11 to 20 were compared/]);
  t.match(damaged.log, { same: 20, backlog: { messages: 1 } });
  world.store.objects.set(fourth, bytes);
  const second = entryKey(ORIGIN, 2);
  const entry = decodeEntry(ORIGIN, 2, world.store.objects.get(second) ?? new Uint8Array(0));
  world.store.objects.set(second, encodeEntry({ ...entry, after: 9 }));
  const broken = await judge(world, log);
  t.match(broken.faults, [/^manifest .*entry 2 of the manifest .* what is behind it was not compared/]);
  t.match(broken.log, { same: 10, backlog: { messages: 0 } });
});

t.test(
  'rows of another gateway, life or time differ; before the clock was set times are not compared',
  async (t) => {
    const world = new World(t);
    const rows = rowsOf(1, 3);
    await world.cut(3, rows);
    const early = rows.map((row) => ({
      ...row,
      timeMs: row.sequence === 2 ? 5000 : row.timeMs + (row.sequence === 3 ? 1 : 0),
    }));
    t.match((await judge(world, logOf(early))).faults, [/^differs .*position 3 .*\(time\)$/]);
  },
);

t.test('a log goes over the wire in lines, as much of it as was asked for', async (t) => {
  const rows = [...rowsOf(1, 3), rowOf(4, { payload: Buffer.from('[\n]') }), ...rowsOf(5, 90)];
  const log = logOf(rows, { first: 2, damaged: [6, 7] });
  const { marks, lost, next } = (await readAll(log, 0, 25))[0] ?? { marks: [], lost: undefined, next: 0 };
  t.match(marks[2], { sequence: 4, digest: /^[\w-]{22}$/, lineDigest: /^[\w-]{22}$/, bytes: 3 });
  t.equal(marks[0]?.lineDigest, undefined);
  const lines = encodeBlock({ marks, lost, next }, log.lineage).trim().split('\n');
  t.match(JSON.parse(lines[0] ?? ''), { epoch: 1 });
  t.match(lines.map(decodeLine), [...marks, { lost: [1, 7], next: 26 }]);

  const asked: number[] = [];
  const ports = {
    readOwn: async (from: number) => {
      asked.push(from);
      return { messages: [], wallMs: [], next: from + 10, lostFrom: 0, lostTo: 0 };
    },
    pause: () => Promise.resolve(),
  };
  const textOf = async (maxBytes: number): Promise<string[]> => {
    const parts = [];
    for await (const bytes of logLines(log, ports, { after: 0, upTo: 25, maxBytes })) parts.push(bytes);
    return Buffer.concat(parts).toString('utf8').trim().split('\n');
  };
  const [facts = '', ...blocks] = await textOf(Infinity);
  t.match(decodeFacts(facts), { origin: ORIGIN, first: 2, committed: 90, lineage: [FIRST_LIFE] });
  t.same(
    blocks.map(decodeLine),
    [11, 21, 26].map((end) => ({ lost: undefined, next: end })),
  );
  t.same(asked, [1, 11, 21]);
  t.equal((await textOf(1)).length, 2, 'one block, and no more');
  for (const text of ['', '[]', '{}', '{"next":-1}', '{"next":1,"lost":[1]}', '{"sequence":1}'])
    t.equal(decodeLine(text), undefined, text);
  for (const text of ['', '{"origin":"x"}', facts.replace('"lives":[', '"lives":[7,')])
    t.equal(decodeFacts(text), undefined, text);
});

async function readAll(log: GatewayLog, after: number, upTo: number): Promise<LogBlock[]> {
  const blocks: LogBlock[] = [];
  for await (const block of log.read(after, upTo)) blocks.push(block);
  return blocks;
}
