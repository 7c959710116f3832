import t from 'tap';
import { Archiver, type ArchiverPorts } from '../../../bridge/archive/archiver.js';
import { Manifest, PAGE_ENTRIES } from '../../../bridge/archive/manifest.js';
import type { ManifestTip } from '../../../bridge/archive/manifest-entry.js';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(1));
const EPOCH = { counter: 1, nonce: '00000000000000aa' };
const ENTRIES = 2 * PAGE_ENTRIES + 3;

/** Each entry is one position, with nothing in it. */
function archiverOf(objects: MemoryObjectStore, ports: Partial<ArchiverPorts> = {}): Archiver {
  return new Archiver({
    ...{ self: ORIGIN, objects, manifest: new Manifest(objects, ORIGIN) },
    cutAfter: async ({ upTo }) =>
      upTo >= ENTRIES ? undefined : { epoch: EPOCH, after: upTo, upTo: upTo + 1, config: 'c', atMs: 0 },
    build: async () => ({ objects: [], lost: [], dispose: async () => undefined }),
    archived: () => undefined,
    ...ports,
  });
}

t.test('who begins anew has 256 entries with one request', async (t) => {
  const objects = new MemoryObjectStore();
  const first = archiverOf(objects);
  while ((await first.step()) !== 'idle');
  t.equal([...objects.objects.keys()].filter((key) => key.includes('/pages/')).length, 2);
  objects.asked.length = 0;
  let tip: ManifestTip | undefined;
  const second = archiverOf(objects, {
    archived: (reached) => {
      tip = reached;
    },
  });
  t.equal(await second.step(), 'idle');
  t.equal(tip?.number, ENTRIES);
  t.ok(objects.asked.length <= 2 + 3 + 2, `${objects.asked.length} requests for ${ENTRIES} entries`);
});

t.test('what was done by another is told, and is nobody else’s work', async (t) => {
  const objects = new MemoryObjectStore();
  const told: boolean[] = [];
  const one = archiverOf(objects, { archived: (_tip, _lives, built) => void told.push(built !== undefined) });
  const other = archiverOf(objects, { self: gatewayIdOf(new Uint8Array(32).fill(2)) });
  t.equal(await one.step(), 'done');
  t.equal(await other.step(), 'done');
  t.equal(await one.step(), 'overtaken');
  t.same(told, [false, true, false]);
});

t.test('an archive that is gone is not begun again in the middle, and goes on when it is back', async (t) => {
  const objects = new MemoryObjectStore();
  const archiver = archiverOf(objects);
  t.equal(await archiver.step(), 'done');
  const before = new Map(objects.objects);
  objects.objects.clear();
  for (let again = 0; again < 2; again++)
    await t.rejects(archiver.step(), { name: 'ManifestFault', message: /see that its disk is mounted/ });
  t.equal(objects.objects.size, 0, 'nothing was written there');
  for (const [key, object] of before) objects.objects.set(key, object);
  t.equal(await archiver.step(), 'done');
  t.equal(objects.objects.size, before.size + 1);
});
