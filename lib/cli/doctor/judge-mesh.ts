/** Whether the data folder can take part in its mesh. Pure. */
import { failure, type Finding, ok, skipped, warning } from './finding.js';

export interface MeshSeen {
  readonly keyPath: string;
  readonly hasKey: boolean;
  readonly gateway: string | undefined;
  /** Why it was evicted; undefined: it was not, as far as is known here. */
  readonly evictedFor: string | undefined;
  readonly faults: readonly string[];
  readonly exposed: readonly string[];
}

/** @param enabled `mesh.enabled`; undefined: where there is a key */
export function judgeMembership(seen: MeshSeen, enabled: boolean | undefined): Finding {
  const { keyPath, hasKey, gateway, evictedFor, faults } = seen;
  const check = 'mesh';
  if (enabled === false) return skipped(check, 'mesh.enabled is false');
  if (faults.length > 0) {
    return failure(
      check,
      faults.join('; '),
      'the gateway does not start like this: give the files back to the user that runs it, join again with "sprawl-edge join", or leave with "sprawl-edge leave"',
    );
  }
  if (!hasKey) {
    const value = `this data folder is in none: there is no ${keyPath}`;
    if (enabled !== true) return ok(check, value);
    return failure(
      check,
      `mesh.enabled is true, and ${value}`,
      '"sprawl-edge join" with a swarm key joins one, "sprawl-edge init" makes one',
    );
  }
  if (gateway === undefined) return ok(check, 'a member, which was not started yet');
  if (evictedFor !== undefined) {
    const why = evictedFor === '' ? '' : ` (${evictedFor})`;
    return warning(
      check,
      `gateway ${gateway.slice(0, 8)} was evicted from the mesh${why}: it takes part no more, and its clients are served on`,
      'where it was a mistake, "sprawl-edge join --new-identity" makes a new member of it, with the same data',
    );
  }
  return ok(check, `a member, gateway ${gateway.slice(0, 8)}`, { gateway });
}

export function judgeKeyFiles({ hasKey, gateway, exposed }: MeshSeen): Finding {
  const check = 'key files';
  if (!hasKey && gateway === undefined) return skipped(check, 'there are none');
  if (exposed.length === 0) return ok(check, 'readable for their owner alone');
  return warning(
    check,
    `other users of this machine may read ${exposed.join(' and ')}`,
    `chmod 600 ${exposed.join(' ')}; where somebody did read the swarm key, make a new mesh`,
  );
}
