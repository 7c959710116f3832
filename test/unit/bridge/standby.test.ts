import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as elapse } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../../bridge/archive/file-object-store.js';
import { Manifest } from '../../../bridge/archive/manifest.js';
import type { ManifestEntry } from '../../../bridge/archive/manifest-entry.js';
import { encodeChunk } from '../../../bridge/archive/standby/copy-chunk.js';
import { decodeCopyFrame, encodeOffer, encodeParts } from '../../../bridge/archive/standby/copy-frames.js';
import { Standby, type StandbySettings } from '../../../bridge/archive/standby/standby.js';
import type { StandbyStatus } from '../../../lib/contracts/archive-status.js';
import { type GatewayId, gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import type { Logger, LogFields } from '../../../lib/contracts/logger.js';
import { type MasterKey, parseKeyFile } from '../../../lib/contracts/master-key.js';
import type { LinkedGateway } from '../../../lib/contracts/peer-channel.js';
import { realTimers } from '../../../lib/real-clock.js';
import { ArchivingOrigin } from '../../support/archiving-origin.js';
import { KeptStore } from '../../support/kept-store.js';
import { nullLogger } from '../../support/null-logger.js';

const SOON_MS = 20_000;
const HARBOUR = gatewayIdOf(new Uint8Array(32).fill(0xab));
const MILL = gatewayIdOf(new Uint8Array(32).fill(0xcd));
const QUARRY = gatewayIdOf(new Uint8Array(32).fill(0xef));
const NOTHING = { offer: undefined, read: () => Promise.reject(new Error('nobody wants it')) };

interface Options extends Partial<StandbySettings> {
  readonly store?: KeptStore;
  readonly archive?: Pick<ArchivingOrigin, 'offer' | 'read'> | typeof NOTHING;
  readonly kept?: readonly string[];
  readonly evicted?: readonly GatewayId[];
  readonly startsLater?: boolean;
}

/** One end of links to others. */
class End {
  readonly store: KeptStore;
  readonly said: string[] = [];
  readonly standby: Standby;
  readonly settings: StandbySettings;
  nowMs = 0;
  readonly sent: { readonly to: GatewayId; readonly frame: Uint8Array }[] = [];
  readonly id: GatewayId;

  constructor(folder: string, id: GatewayId, options: Options = {}) {
    const { store = new KeptStore(), archive = NOTHING, kept = [], evicted = [] } = options;
    this.store = store;
    this.id = id;
    this.settings = {
      target: { target: pathToFileURL(join(folder, 'archive')).href, s3: { timeoutMs: 1, partBytes: 1 } },
      ...{
        maxBytesPerSecond: 0,
        fileMaxBytes: 1e6,
        fileMaxCount: 1e6,
        spoolFolder: join(folder, `spool-${id}`),
      },
      ...{ maxBytes: 1e9, chunkMaxBytes: 1e6, standbyFor: [], copyBytesPerSecond: 0, keys: [] },
      ...options,
    };
    const say = (message: string, fields?: LogFields): void =>
      void this.said.push(`${message} ${JSON.stringify(fields)}`);
    const logger: Logger = { ...nullLogger, info: say, warn: say, error: say, child: () => logger };
    this.standby = new Standby(this.settings, {
      ...{ self: id, store, archive, logger, timers: realTimers, minuteOfDay: () => 0 },
      clock: { now: () => this.nowMs, wall: () => Date.UTC(2026, 10, 29) },
      whenCommitted: (done, position) => store.whenCommitted(done, position),
      send: (to, frame) => void this.sent.push({ to, frame }),
      through: async () => undefined,
      inTurns: () => false,
      mayLeave: (filter) => !kept.includes(filter),
      isEvicted: (gateway) => evicted.includes(gateway),
    });
    if (options.startsLater !== true) this.standby.start();
  }

  tick(): void {
    this.nowMs += 1000;
    this.store.commit();
    this.standby.tick();
  }

  get status(): StandbyStatus | undefined {
    return this.standby.status()[0];
  }
}

const gatewayOf = (id: GatewayId): LinkedGateway => ({ id, site: '', isRelayed: false });

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-standby-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Two with a link, and the log of one of them. */
class Pair {
  readonly origin = new ArchivingOrigin();
  readonly folder: string;
  readonly harbour: End;
  mill: End;
  readonly #t: Test;
  #isLinked = false;

  constructor(t: Test, mill: Options = { standbyFor: ['*'] }, harbour: Options = {}) {
    this.#t = t;
    this.folder = folderOf(t);
    this.harbour = new End(this.folder, HARBOUR, { archive: this.origin, ...harbour });
    this.mill = this.#stopped(new End(this.folder, MILL, mill));
  }

  #stopped(end: End): End {
    this.#t.teardown(() => end.standby.stop());
    return end;
  }

  /** The mill starts anew. */
  async restart(options: Options): Promise<void> {
    this.unlink();
    await this.mill.standby.stop();
    this.mill.store.crash();
    this.mill = this.#stopped(new End(this.folder, MILL, { store: this.mill.store, ...options }));
    await settled();
  }

  link(): void {
    this.#isLinked = true;
    this.harbour.standby.linked(gatewayOf(MILL));
    this.mill.standby.linked(gatewayOf(HARBOUR));
  }

  unlink(): void {
    if (this.#isLinked) this.mill.standby.unlinked(HARBOUR);
    if (this.#isLinked) this.harbour.standby.unlinked(MILL);
    this.#isLinked = false;
  }

  /** Until nothing goes between them any more. */
  async run(seconds = 3): Promise<void> {
    for (let n = 0; n < seconds; n++) {
      for (let at = this.harbour.store.committed; at < this.origin.committed; at++)
        this.harbour.store.appendOther();
      this.harbour.tick();
      this.mill.tick();
      for (let round = 0; round < 30; round++) {
        this.mill.store.commit();
        await this.deliver();
      }
    }
  }

  /** Both ways, without a commit at the mill. */
  async deliver(): Promise<void> {
    await settled();
    this.#deliver(this.harbour, this.mill);
    this.#deliver(this.mill, this.harbour);
  }

  #deliver(from: End, to: End): void {
    for (const { frame } of from.sent.splice(0))
      if (this.#isLinked && to.standby.onFrame(from.id, frame) !== undefined) this.unlink();
  }

  append(count: number): void {
    for (let n = 0; n < count; n++) this.origin.append(true);
  }

  async until(what: string, holds: (status: StandbyStatus | undefined) => boolean): Promise<void> {
    const deadline = performance.now() + SOON_MS;
    while (!holds(this.mill.status)) {
      if (performance.now() > deadline)
        throw new Error(
          `not soon: ${what}: ${JSON.stringify(this.mill.status)} ${this.mill.said.join('\n')}`,
        );
      this.mill.tick();
      await elapse(5);
    }
  }

  async entries(): Promise<ManifestEntry[]> {
    const entries: ManifestEntry[] = [];
    const manifest = new Manifest(new FileObjectStore(join(this.folder, 'archive')), HARBOUR);
    for await (const entry of manifest.read()) entries.push(entry);
    return entries;
  }
}

async function settled(): Promise<void> {
  for (let n = 0; n < 10; n++) await Promise.resolve();
}

t.test('what a gateway has not archived is kept by who is asked to, and let go when it has', async (t) => {
  const pair = new Pair(t);
  pair.append(20);
  pair.origin.done = 3;
  pair.link();
  await pair.run();
  t.match(pair.mill.status, {
    ...{
      gateway: HARBOUR,
      site: 'harbour',
      state: 'keeping',
      reason: null,
      archivedUpTo: 3,
      keptUpTo: 20,
      head: 20,
    },
  });
  t.ok(pair.mill.store.floors.has(`standby/${HARBOUR}`));
  pair.origin.done = 20;
  await pair.run();
  t.match(pair.mill.status, { state: 'keeping', archivedUpTo: 20, keptUpTo: 20, bytes: 0, heldBytes: 0 });
  t.same([...pair.mill.store.floors], [], 'nothing of the log here is held');
  t.same(pair.harbour.standby.status(), []);
});

t.test('a gateway is called by its site, or the beginning of its id', async (t) => {
  for (const [name, isMeant] of [
    ['harbour', true],
    ['ABAB', true],
    ['aba', false],
    ['mill', false],
  ] as const) {
    const pair = new Pair(t, { standbyFor: [name] });
    pair.append(5);
    pair.link();
    await pair.run();
    t.equal(pair.mill.status?.keptUpTo, isMeant ? 5 : null, name);
    if (!isMeant) t.match(pair.mill.status, { gateway: name, state: 'incomplete', reason: /was met/ });
  }
});

t.test('what may not leave a gateway is not offered, and who is to keep it says so', async (t) => {
  const pair = new Pair(t, { standbyFor: ['*'] }, { kept: ['secret/#'] });
  pair.append(5);
  pair.link();
  await pair.run();
  t.equal(pair.mill.status?.keptUpTo, 5);
  pair.origin.config = { ...pair.origin.config, topics: ['#', 'secret/#'] };
  pair.append(1);
  await pair.run();
  t.match(pair.mill.status, {
    state: 'incomplete',
    reason: /it archives secret\/#, and its mesh\.exportFilters/,
    keptUpTo: 5,
  });
});

t.test('where nothing was ever offered it is said, too', async (t) => {
  const pair = new Pair(t, { standbyFor: ['*', 'harbour'] }, { kept: ['#'] });
  pair.append(5);
  pair.link();
  await pair.run();
  t.match(pair.mill.standby.status(), [
    {
      gateway: HARBOUR,
      state: 'incomplete',
      reason: /it archives #, and its mesh\.exportFilters/,
      keptUpTo: null,
    },
    { gateway: 'harbour', state: 'incomplete', reason: /was met; or/ },
  ]);
  pair.unlink();
  t.equal(pair.mill.standby.status().length, 1);
});

t.test('other topics are kept anew, from where the archive is', async (t) => {
  const pair = new Pair(t);
  pair.append(5);
  pair.link();
  await pair.run();
  pair.unlink();
  pair.origin.start();
  pair.origin.config = { ...pair.origin.config, topics: ['site/#'] };
  pair.append(2);
  pair.link();
  await pair.run();
  t.match(
    pair.mill.said.join('\n'),
    /is of no use any more.*it archives other topics than before.*"from":1,"to":5/,
  );
  t.equal(pair.mill.status?.keptUpTo, 7);
});

t.test('where there is no room for copies it says so, and goes on when there is', async (t) => {
  const pair = new Pair(t);
  pair.append(20);
  pair.mill.store.roomForCount = 1;
  pair.link();
  await pair.run();
  t.match(pair.mill.status, { state: 'incomplete', reason: /has no room/, keptUpTo: 7, head: 20 });
  pair.mill.store.roomForCount = Infinity;
  await pair.run();
  t.match(pair.mill.status, { state: 'keeping', reason: null, keptUpTo: 20 });
});

t.test('more than may be kept is left to the gateway that has it', async (t) => {
  const pair = new Pair(t, { standbyFor: ['*'], maxBytes: 1600 });
  pair.append(20);
  pair.link();
  await pair.run();
  t.match(pair.mill.status, {
    state: 'incomplete',
    reason: /archive\.standbyMaxBytes is 1600/,
    keptUpTo: 14,
  });
  pair.origin.done = 14;
  await pair.run();
  t.match(pair.mill.status, { state: 'keeping', keptUpTo: 20 });
});

t.test('copies that hold more of the log than they may are given up, and made anew', async (t) => {
  const pair = new Pair(t, { standbyFor: ['*'], maxBytes: 3000 });
  pair.append(7);
  pair.link();
  await pair.run();
  for (let n = 0; n < 40; n++) pair.mill.store.appendOther();
  await pair.run(1);
  t.match(
    pair.mill.said.join('\n'),
    /it is given up .*"from":1,"to":7,"maxBytes":3000,"raise":"archive\.standbyMaxBytes"/,
  );
  await pair.run();
  t.match(pair.mill.status, { state: 'keeping', keptUpTo: 7 });
  pair.unlink();
  for (let n = 0; n < 40; n++) pair.mill.store.appendOther();
  await pair.run(1);
  t.match(
    pair.mill.status,
    { state: 'apart', keptUpTo: null },
    'where it is gone there is nothing to make them of',
  );
  t.same([...pair.mill.store.floors], []);
});

t.test('a link to a gateway that sends what is no copy ends', (t) => {
  const { standby } = new End(folderOf(t), MILL, { standbyFor: ['*'] });
  standby.linked(gatewayOf(HARBOUR));
  t.match(standby.onFrame(HARBOUR, Uint8Array.of(1, 0x7b)), /cannot be read/);
  t.match(standby.onFrame(HARBOUR, Uint8Array.of(99)), /cannot be read/);
  t.end();
});

t.test(
  'an archive is finished as far as it is kept, and the rest is told as lost where that is wanted',
  async (t) => {
    for (const tellsRest of [false, true]) {
      const pair = new Pair(t);
      pair.append(20);
      pair.mill.store.roomForCount = 1;
      pair.link();
      await pair.run();
      t.match(pair.mill.standby.finish('harbour', tellsRest), /is linked/);
      pair.unlink();
      t.match(pair.mill.status, { state: 'incomplete', keptUpTo: 7, head: 20 });
      const answer = { gateway: HARBOUR, archivedUpTo: 0, upTo: tellsRest ? 20 : 7 };
      t.same(pair.mill.standby.finish('harbour', tellsRest), answer);
      await pair.until('it is finished', (status) => status?.state === 'finished');
      const entries = await pair.entries();
      t.match(entries, [{ origin: HARBOUR, by: MILL, after: 0, rows: 7, lost: tellsRest ? [[8, 20]] : [] }]);
      t.equal(entries[0]?.upTo, answer.upTo);
      t.match(entries[0]?.epoch, { counter: 1 });
      t.same([...pair.mill.store.floors], []);
      t.match(pair.mill.standby.finish('harbour', tellsRest), /nothing is kept here/);
    }
  },
);

t.test('another key is that of archives of others, too', async (t) => {
  const [old, next] = [1, 2].map((fill) =>
    parseKeyFile(Buffer.alloc(32, fill).toString('hex'), 'keys', 'archive'),
  ) as [MasterKey[], MasterKey[]];
  const pair = new Pair(t, { standbyFor: ['*'], keys: old });
  pair.append(10);
  pair.link();
  await pair.run();
  pair.unlink();
  pair.mill.standby.setKeys([...next, ...old]);
  pair.mill.standby.setKeys([]);
  pair.mill.standby.finish('harbour', false);
  await pair.until('it is finished', (status) => status?.state === 'finished');
  t.match(await pair.entries(), [{ objects: [{ keyId: next[0]?.id }] }]);
});

t.test('what a log had lost is told, and lives are those of the origin', async (t) => {
  const pair = new Pair(t);
  pair.append(6);
  pair.origin.start();
  pair.origin.append(true);
  pair.origin.lost = [3, 4];
  pair.link();
  await pair.run();
  pair.unlink();
  pair.mill.standby.finish('harbour', false);
  await pair.until('it is finished', (status) => status?.state === 'finished');
  t.match(await pair.entries(), [
    { epoch: { counter: 1 }, after: 0, upTo: 6, rows: 4, lost: [[3, 4]] },
    { epoch: { counter: 2 }, after: 6, upTo: 7, rows: 1, lost: [] },
  ]);
});

t.test('an archive that is another than that of the gateway is not written to', async (t) => {
  const pair = new Pair(t);
  pair.append(10);
  pair.origin.done = 4;
  pair.origin.tip = { number: 1, hash: 'a'.repeat(64) };
  pair.link();
  await pair.run();
  pair.unlink();
  pair.mill.standby.finish('harbour', false);
  await pair.until('it fails', (status) => status?.state === 'failing');
  t.match(pair.mill.status?.reason, /entry 1 of the manifest .* another archive than its own/);
  t.same(await pair.entries(), []);
});

t.test('copies that are gone are not taken for nothing', async (t) => {
  const pair = new Pair(t);
  pair.append(20);
  pair.link();
  await pair.run();
  pair.unlink();
  pair.mill.store.loseFirst();
  pair.mill.standby.finish('harbour', false);
  await pair.until('it fails', (status) => status?.state === 'failing');
  t.match(pair.mill.status?.reason, /positions 1 to 7 are not in the log of this gateway any more/);
  t.same(await pair.entries(), []);
});

t.test('an archive that has gone on with a later start than is known is left alone', async (t) => {
  const pair = new Pair(t);
  pair.append(5);
  pair.link();
  await pair.run();
  pair.unlink();
  const manifest = new Manifest(new FileObjectStore(join(pair.folder, 'archive')), HARBOUR);
  const epoch = { counter: 3, nonce: 'f'.repeat(16) };
  await manifest.append({
    epoch,
    after: 0,
    upTo: 3,
    lost: [],
    config: 'c',
    rows: 0,
    objects: [],
    by: HARBOUR,
  });
  pair.mill.standby.finish('harbour', false);
  await pair.until('it fails', (status) => status?.state === 'failing');
  t.match(pair.mill.status?.reason, /has start 3 of it, which is not known here/);
  t.equal((await pair.entries()).length, 1);
});

t.test('a gateway that starts anew goes on where it was: keeping, and finishing', async (t) => {
  const pair = new Pair(t);
  pair.append(10);
  pair.link();
  await pair.run();
  await pair.restart({ standbyFor: ['*'] });
  t.match(pair.mill.status, { state: 'apart', keptUpTo: 10 });
  pair.append(4);
  pair.link();
  await pair.run();
  t.equal(pair.mill.status?.keptUpTo, 14);
  pair.unlink();
  pair.mill.standby.finish('harbour', false);
  pair.mill.store.commit();
  await pair.restart({ standbyFor: ['*'] });
  await pair.until('it is finished', (status) => status?.state === 'finished');
  t.match(await pair.entries(), [{ rows: 14, upTo: 14 }]);
});

t.test('a link that was there before the start is as good as any', async (t) => {
  const pair = new Pair(t, { standbyFor: ['*'], startsLater: true });
  pair.append(10);
  pair.link();
  await pair.deliver();
  pair.mill.standby.start();
  await pair.run();
  t.match(pair.mill.status, { state: 'keeping', keptUpTo: 10 });
  await pair.restart({ standbyFor: ['*'], startsLater: true });
  pair.append(3);
  pair.link();
  await pair.deliver();
  pair.mill.standby.start();
  await pair.run();
  t.match(pair.mill.status, { state: 'keeping', keptUpTo: 13 });
});

t.test('whom nobody keeps for any more is let go, and who was evicted meanwhile is finished', async (t) => {
  const pair = new Pair(t);
  pair.append(10);
  pair.link();
  await pair.run();
  pair.mill.store.checkpoint();
  await pair.restart({ standbyFor: ['*'], evicted: [HARBOUR] });
  await pair.until('it is finished', (status) => status?.state === 'finished');
  t.equal((await pair.entries()).length, 1);

  const other = new Pair(t);
  other.append(10);
  other.link();
  await other.run();
  await other.restart({ standbyFor: ['quarry'] });
  t.match(other.mill.said.join(), /nothing is kept of the archive of another gateway any more/);
  t.same([...other.mill.store.floors], []);
});

t.test('a gateway that comes back while its archive is finished is kept for again afterwards', async (t) => {
  const pair = new Pair(t);
  pair.append(10);
  pair.link();
  await pair.run();
  pair.unlink();
  pair.mill.standby.evicted(HARBOUR);
  pair.link();
  pair.append(5);
  await pair.run(1);
  await pair.until('it is finished', (status) => status?.state === 'keeping' && status.rows === 10);
  await pair.run();
  t.match(pair.mill.status, { state: 'keeping', keptUpTo: 15 });
});

t.test('what is on its way to the disk when it begins is finished, too', async (t) => {
  const pair = new Pair(t);
  pair.append(5);
  pair.link();
  await pair.run();
  pair.append(2);
  for (const _ of [6, 7]) pair.harbour.store.appendOther();
  pair.harbour.tick();
  await pair.deliver();
  t.equal(pair.mill.status?.keptUpTo, 5, 'it is not committed');
  pair.unlink();
  pair.mill.standby.evicted(HARBOUR);
  await pair.until('it is finished', (status) => status?.state === 'finished');
  t.match(await pair.entries(), [{ upTo: 7, rows: 7 }]);
});

t.test('one that does not get on stands in the way of no other', async (t) => {
  const pair = new Pair(t);
  pair.append(5);
  pair.origin.done = 1;
  pair.origin.tip = { number: 1, hash: 'a'.repeat(64) };
  pair.link();
  await pair.run();
  pair.unlink();
  pair.mill.standby.evicted(HARBOUR);
  await pair.until('it fails', (status) => status?.state === 'failing');
  const other = new ArchivingOrigin();
  for (let n = 0; n < 3; n++) other.append(true);
  const { standby, store, sent } = pair.mill;
  standby.linked(gatewayOf(QUARRY));
  standby.onFrame(QUARRY, encodeOffer({ ...other.offer, config: { ...other.config, site: 'quarry' } }));
  await settled();
  t.match(decodeCopyFrame(sent.at(-1)?.frame ?? new Uint8Array(0)), { kind: 'want', after: 0 });
  const { rows } = await other.read(0);
  for (const frame of encodeParts(encodeChunk({ from: 0, to: 3, head: 3, lost: [], rows })))
    t.equal(standby.onFrame(QUARRY, frame), undefined);
  store.commit();
  standby.unlinked(QUARRY);
  t.match(standby.finish('quarry', false), { gateway: QUARRY, upTo: 3 });
  t.match(standby.status()[1], { gateway: QUARRY, state: 'finishing' });
  await pair.until('it fails still', () => standby.status().some(({ state }) => state === 'finished'));
  t.match(standby.status(), [
    { gateway: HARBOUR, keptUpTo: 5 },
    { gateway: QUARRY, state: 'finished', rows: 3 },
  ]);
});
