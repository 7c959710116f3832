/** Several uploaders of one origin, requests that fail before or after they took effect, uploaders that forget how far they were: one chain. */
import fc from 'fast-check';
import t from 'tap';
import { Manifest, type ManifestDraft } from '../../bridge/archive/manifest.js';
import { ObjectFault } from '../../bridge/archive/object-store.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { MemoryObjectStore, type PlannedFault } from '../support/memory-object-store.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(1));
const WRITERS = [2, 3, 4].map((n) => gatewayIdOf(new Uint8Array(32).fill(n)));
const EPOCH = { counter: 1, nonce: '00000000000000aa' };
const FAULTS: readonly (PlannedFault | undefined)[] = [
  undefined,
  undefined,
  undefined,
  { when: 'before', kind: 'unreachable' },
  { when: 'after', kind: 'unknown' },
];

interface Step {
  readonly writer: number;
  readonly count: number;
  /** It starts anew, and knows nothing. */
  readonly forgets: boolean;
}

const steps = fc.array(
  fc.record({ writer: fc.nat(2), count: fc.integer({ min: 0, max: 9 }), forgets: fc.boolean() }),
  { maxLength: 40 },
);

async function attempt<T>(task: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof ObjectFault)) throw error;
    }
  }
}

async function catchUp(manifest: Manifest): Promise<void> {
  await attempt(async () => {
    for await (const { upTo } of manifest.read()) if (upTo < 0) break;
  });
}

/** One uploader's turn: some positions behind where it believes that the archive ends. @returns up to where it wrote; undefined: it came second */
async function upload(manifest: Manifest, writer: number, count: number): Promise<string | undefined> {
  const { upTo } = manifest.tip;
  const by = WRITERS[writer] ?? ORIGIN;
  const shape = { epoch: EPOCH, lost: [], config: '', rows: 0, objects: [], by };
  const draft: ManifestDraft = { ...shape, after: upTo, upTo: upTo + count };
  const isWritten = await attempt(() => manifest.append(draft));
  return isWritten ? `${upTo} ${upTo + count} ${by}` : undefined;
}

t.test('every entry that was written is there once, in one chain', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, fc.infiniteStream(fc.nat(FAULTS.length - 1)), async (turns, luck) => {
      const store = new MemoryObjectStore();
      store.fault = () => FAULTS[luck.next().value ?? 0];
      const manifests = WRITERS.map(() => new Manifest(store, ORIGIN));
      const written: string[] = [];
      const take = async ({ writer, count, forgets }: Step): Promise<void> => {
        if (forgets) {
          manifests[writer] = new Manifest(store, ORIGIN);
          await catchUp(manifests[writer]);
        }
        const one = await upload(manifests[writer] ?? new Manifest(store, ORIGIN), writer, count);
        if (one !== undefined) written.push(one);
      };
      // Each two take their turns at the same time, where they are not the same.
      for (let n = 0; n < turns.length; n += 2) {
        const pair = turns.slice(n, n + 2) as [Step, Step?];
        if (pair[0].writer === pair[1]?.writer) for (const turn of pair) await take(turn as Step);
        else await Promise.all(pair.map((turn) => take(turn as Step)));
      }
      store.fault = () => undefined;
      const chain: string[] = [];
      let end = 0;
      for await (const { after, upTo, by } of new Manifest(store, ORIGIN).read()) {
        if (after !== end) throw new Error(`a gap: ${end} to ${after}`);
        end = upTo;
        chain.push(`${after} ${upTo} ${by}`);
      }
      t.same([...chain].sort(), [...written].sort());
    }),
    { numRuns: 200 },
  );
});
