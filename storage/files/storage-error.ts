import { SprawlError } from '../../lib/contracts/errors.js';

/** What Node throws, as the errors of storage. `doing` completes "cannot …". */
export function toStorageError(error: unknown, doing: string): SprawlError {
  if (error instanceof SprawlError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const details = { reason: code };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new SprawlError(
        'STORAGE_FULL',
        `cannot ${doing}: no space is left (${code}); free some, or lower limits.diskMaxBytes`,
        { details, cause: error, retryable: true },
      );
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new SprawlError(
        'STORAGE_READ_ONLY',
        `cannot ${doing}: it may not be written (${code}); check the owner and the mount of the data folder`,
        { details, cause: error, retryable: true },
      );
    case 'ENOENT':
      return new SprawlError('STORAGE_MISSING', `cannot ${doing}: it is not there`, {
        details,
        cause: error,
      });
    case 'ENOTDIR':
    case 'EEXIST':
      return new SprawlError(
        'STORAGE_IO',
        `cannot ${doing}: a part of this path is no folder (${code}); move that away, or name another data folder`,
        { details, cause: error, retryable: true },
      );
    case 'EISDIR':
      return new SprawlError('STORAGE_IO', `cannot ${doing}: it is a folder (${code}); move that away`, {
        details,
        cause: error,
        retryable: true,
      });
    default:
      return new SprawlError(
        'STORAGE_IO',
        `cannot ${doing}: ${code}; look at the kernel log for the disk's own report`,
        { details, cause: error, retryable: true },
      );
  }
}
