/**
 * A log that is archived through other gateways, over links that break at any frame, into a store that fails now and then: in the end the
 * manifest names every message once, and every object that it names is what it says.
 */
import fc from 'fast-check';
import t from 'tap';
import { Archiver, type BuiltCut, type Cut } from '../../bridge/archive/archiver.js';
import { Manifest } from '../../bridge/archive/manifest.js';
import { hashOf } from '../../bridge/archive/manifest-entry.js';
import { objectKey } from '../../bridge/archive/object-key.js';
import { bodyOf, ObjectFault } from '../../bridge/archive/object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { RelayWorld, SELF } from '../support/relay-world.js';

const EPOCH = { counter: 1, nonce: '00000000000000aa' };
const LOG_END = 12;
const CUT_SIZE = 4;
/** More than a gateway pulls at once, and more than a store reads at once. */
const ROW_BYTES = 40_000;

function build({ after, upTo }: Cut): Promise<BuiltCut> {
  const rows = Array.from({ length: upTo - after }, (_, n) => String(after + 1 + n).padEnd(ROW_BYTES, '.'));
  const bytes = Buffer.from(rows.join('\n'));
  const sha256 = hashOf(bytes);
  const key = objectKey('date=2026-11-30', {
    ...{ origin: SELF, epoch: 1, first: after + 1, last: upTo, sha256, format: 'ndjson' },
  });
  const objects = [{ key, length: bytes.length, rows: rows.length, sha256, body: bodyOf(bytes) }];
  return Promise.resolve({ objects, lost: [], dispose: () => Promise.resolve() });
}

async function archivedRows(objects: MemoryObjectStore): Promise<number[]> {
  const rows: number[] = [];
  for await (const entry of new Manifest(objects, SELF).read())
    for (const { key, sha256 } of entry.objects) {
      const bytes = objects.objects.get(key);
      if (bytes === undefined || hashOf(bytes) !== sha256)
        throw new Error(`${key} is not what the manifest says`);
      rows.push(...Buffer.from(bytes).toString().split('\n').map(Number.parseFloat));
    }
  return rows;
}

t.test('however often links break, everything is archived once, and one store is one archive', async (t) => {
  let [breaks, faults, ways] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(fc.infiniteStream(fc.nat(999)), fc.nat(80), async (dice, breakPerMille) => {
      const world = new RelayWorld();
      const shared = new MemoryObjectStore();
      const foreign = new MemoryObjectStore();
      const [first, second, other] = [world.hub(2, shared), world.hub(3, shared), world.hub(4, foreign)];
      let isCalm = false;
      const luck = (perMille: number): boolean => !isCalm && (dice.next().value ?? 999) < perMille;
      shared.fault = () => {
        if (!luck(30)) return undefined;
        faults++;
        return luck(500) ? { when: 'before', kind: 'busy' } : { when: 'after', kind: 'unknown' };
      };
      world.breaks = () => luck(breakPerMille) && ++breaks > 0;
      let isBound = false;
      world.client.begin(undefined, () => (isBound = true));
      world.link(first);
      const create = (): Archiver =>
        new Archiver({
          ...{ self: SELF, objects: world.store, manifest: new Manifest(world.store, SELF), build },
          archived: () => undefined,
          cutAfter: ({ upTo }) =>
            Promise.resolve(
              upTo >= LOG_END
                ? undefined
                : { epoch: EPOCH, after: upTo, upTo: upTo + CUT_SIZE, config: 'c', atMs: 0 },
            ),
        });
      let archiver = create();
      for (let attempt = 0; ; attempt++) {
        isCalm = attempt > 60;
        // Which of them there is a link to is chance; the store that is the archive is known from the first one on.
        for (const hub of [first, second, other]) if (!hub.isLinked && isBound && !luck(300)) world.link(hub);
        if (!first.isLinked && !isBound) world.link(first);
        try {
          if ((await world.time.settle(archiver.step())) === 'idle') break;
        } catch (error) {
          if (!(error instanceof ObjectFault)) throw error;
          // Now and then the process ends as well.
          if (luck(300)) archiver = create();
        }
        if (world.client.way?.site === 'hub3') ways++;
      }
      isCalm = true;
      t.same(world.closed, [], 'nobody says what the other one does not expect');
      t.same(
        await archivedRows(shared),
        Array.from({ length: LOG_END }, (_, n) => n + 1),
      );
      t.same(
        [...foreign.objects.keys()].filter((key) => key !== 'archive-id'),
        [],
      );
    }),
    { numRuns: 40 },
  );
  t.ok(
    breaks > 50 && faults > 20 && ways > 5,
    `${breaks} links broke, ${faults} requests failed, ${ways} times through the second`,
  );
});
