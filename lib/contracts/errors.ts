/**
 * The one error class of the project. Bugs are not errors: they are assertions and end the process.
 */

/** What the reader of the error can do about it. */
export type ErrorKind =
  'config' | 'protocol' | 'unauthorized' | 'limit' | 'unavailable' | 'closed' | 'corrupt';

/** Every code that the project raises, with the kind it belongs to. docs/errors.md has a line for each (a test checks). */
export const ErrorCode = {
  CONFIG_FILE_UNREADABLE: 'config',
  CONFIG_INVALID: 'config',
  CONFIG_UNKNOWN_KEY: 'config',
  USAGE: 'config',
  LISTEN_REFUSED: 'config',
  LISTEN_FAILED: 'unavailable',
  PASSWORD_FILE_INVALID: 'config',
  ACL_FILE_INVALID: 'config',
  TLS_FILE_INVALID: 'config',
  CLIENT_CONNECT_FAILED: 'unavailable',
  HTTP_FAILED: 'unavailable',
  STORAGE_FULL: 'limit',
  STORAGE_IO: 'unavailable',
  STORAGE_READ_ONLY: 'unavailable',
  STORAGE_MISSING: 'unavailable',
  STORAGE_LOCKED: 'config',
  STORAGE_CORRUPT: 'corrupt',
  STORAGE_FOREIGN: 'config',
  STORAGE_FORMAT_NEWER: 'config',
  STORAGE_KEY_INVALID: 'config',
  STORAGE_KEY_WRONG: 'config',
  BACKUP_FOLDER_REFUSED: 'config',
  BACKUP_UNFINISHED: 'config',
  SWARM_KEY_INVALID: 'config',
  BOOTSTRAP_ADDRESS_INVALID: 'config',
  ADMIN_KEY_INVALID: 'config',
  ADMIN_KEY_WRONG: 'config',
  INVITATION_INVALID: 'config',
  INVITATION_ENDED: 'config',
  ROSTER_FULL: 'limit',
  MESH_EXISTS: 'config',
  MESH_MISSING: 'config',
  MESH_FILE_FAILED: 'unavailable',
  MESH_FILE_DAMAGED: 'corrupt',
  ARCHIVE_ELSEWHERE: 'config',
  ARCHIVE_MISSING: 'unavailable',
  ARCHIVE_UNREACHABLE: 'unavailable',
  ARCHIVE_DAMAGED: 'corrupt',
  ARCHIVE_CLOCK_UNSET: 'config',
  ARCHIVE_ZSTD_MISSING: 'config',
  ARCHIVE_KEY_INVALID: 'config',
  ARCHIVE_KEY_MISSING: 'config',
} as const satisfies Record<string, ErrorKind>;
export type ErrorCode = keyof typeof ErrorCode;

export interface SprawlErrorOptions {
  /** Whether the same call may succeed later without a change by the caller. Default false. */
  retryable?: boolean;
  /** Values a program may want: the limit, the value, the file and line. Never secrets, never payloads. */
  details?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

export class SprawlError extends Error {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  /** @param message names the thing, the value, the limit and the way out, in one line. */
  constructor(code: ErrorCode, message: string, options: SprawlErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SprawlError';
    this.code = code;
    this.kind = ErrorCode[code];
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}
