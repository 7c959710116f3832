import { SprawlError } from '../../lib/contracts/errors.js';

/** What Node.js throws, as an error of the project. `doing` completes "cannot …". */
export function toMeshFileError(error: unknown, doing: string): SprawlError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return new SprawlError('MESH_FILE_FAILED', `cannot ${doing}: ${wayOut(code)} (${code})`, {
    details: { reason: code },
    cause: error,
    retryable: true,
  });
}

function wayOut(code: string): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no space is left; free some';
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return 'this user may not; check the owner and the mount of the data folder';
    case 'EEXIST':
    case 'ENOTDIR':
      return 'a part of this path is no folder; move that away, or name another data folder';
    case 'ENOENT':
      return 'it is not there, or its file system takes no folders; name another data folder';
    case 'EISDIR':
      return 'something else has its name; move that away';
    default:
      return "look at the kernel log for the disk's own report";
  }
}

/** @param wayOut what a person can do about it */
export function damaged(path: string, wayOut: string): SprawlError {
  return new SprawlError('MESH_FILE_DAMAGED', `${path} is damaged: ${wayOut}`, { details: { path } });
}
