/** Archives whose rows were changed by somebody who made all that names them again: nothing in the archive itself tells. */
import { keepConfig, readConfig } from '../../bridge/archive/archive-config.js';
import { builderOptionsOf } from '../../bridge/archive/cut-builder.js';
import { Manifest } from '../../bridge/archive/manifest.js';
import type { ObjectStore } from '../../bridge/archive/object-store.js';
import { readRows } from '../../bridge/archive/reading/archive-reader.js';
import type { StoredRow } from '../../bridge/archive/reading/stored-row.js';
import type { ArchiveRow } from '../../bridge/archive/row.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { ArchiveWorld } from './archive-world.js';

/** Writes the archive of `origin` anew into `to`, entry by entry, with what `edit` makes of the rows of each. */
export async function forgeArchive(
  t: { teardown(done: () => void): void },
  from: ObjectStore,
  to: ObjectStore,
  origin: GatewayId,
  edit: (rows: readonly StoredRow[]) => readonly ArchiveRow[],
): Promise<void> {
  const tip = new Manifest(to, origin);
  for await (const entry of new Manifest(from, origin).read()) {
    const config = await readConfig(from, origin, entry);
    if (config === undefined) throw new Error(`entry ${entry.number} has no configuration`);
    await keepConfig(to, origin, config);
    const rows: StoredRow[] = [];
    for (const object of entry.objects) for await (const batch of readRows(from, object)) rows.push(...batch);
    rows.sort((a, b) => a.sequence - b.sequence);
    const world = new ArchiveWorld(t, to, builderOptionsOf(origin, config), origin, tip);
    const { epoch, lost, after, config: fingerprint } = entry;
    await world.cut(entry.upTo, edit(rows), { epoch, lost, after, config: fingerprint });
  }
}
