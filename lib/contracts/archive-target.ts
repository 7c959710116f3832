const PEER_TARGET = /^mesh(?::(.+))?$/;

/**
 * What `archive.target` says where the archive is that of another gateway.
 * @returns its name or the beginning of its id; empty: any that offers one; undefined: the target is a place of its own
 */
export function peerOfTarget(target: string): string | undefined {
  const found = PEER_TARGET.exec(target);
  return found === null ? undefined : (found[1] ?? '');
}
