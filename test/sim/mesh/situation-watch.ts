/** What only the calls between the parts of a gateway tell: which situations a run of the mesh has met. */
import type { Store } from '../../../lib/contracts/store.js';
import type { MeshPort } from '../../../lib/contracts/mesh-port.js';
import type { MeshSituations } from './mesh-situations.js';

export interface Watched {
  readonly store: Store;
  readonly mesh: MeshPort;
  /** How long a SUBACK is held for a gateway that does not answer. */
  readonly holdMaxMs: number;
  now(): number;
}

/** Before the store is opened. */
export function watchSituations({ store, mesh, holdMaxMs, now }: Watched, situations: MeshSituations): void {
  const readOwn = store.readOwn.bind(store);
  store.readOwn = (from, maxBytes, done, options) =>
    readOwn(
      from,
      maxBytes,
      (own) => {
        if (own.messages.length > 0) situations.saw('backlog read from the log again');
        done(own);
      },
      options,
    );
  const recordStream = store.recordStream.bind(store);
  store.recordStream = (record) => {
    if (record.kind === 'backfill' && record.done) situations.saw('backfill used');
    return recordStream(record);
  };
  const whenKnown = mesh.whenKnown.bind(mesh);
  mesh.whenKnown = (answer) => {
    const askedAt = now();
    whenKnown(() => {
      const heldMs = now() - askedAt;
      if (heldMs >= holdMaxMs) situations.saw('SUBACK left without another gateway');
      else if (heldMs >= 1) situations.saw('SUBACK waited for another gateway');
      answer();
    });
  };
}
