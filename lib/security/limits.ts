/** What can grow in this folder, how far, and what happens there. */
export const SECURITY_LIMITS = {
  /** A password or ACL file beyond this is refused: more likely a wrong path than a list of devices. */
  fileMaxBytes: 16 * 1024 * 1024,
  /** Levels of a filter in an ACL, mosquitto's own limit: matching walks them by recursion. */
  filterLevelsMaxCount: 200,
  /** More iterations in a password file are refused as a typing error: one login would take seconds. */
  iterationsMaxCount: 10_000_000,
  /** The least RFC 7677, section 4, allows a server to announce; fewer are refused for new SCRAM entries. */
  scramIterationsMinCount: 4_096,
  /** Longest salt of a password hash; mosquitto 2.0 writes 12 bytes. */
  saltMaxBytes: 64,
  /** Hashes computed at once; libuv's pool also serves the disk, so logins take a quarter of its 16 threads. */
  hashRunningMaxCount: 4,
  /** Logins that wait for a hash; the next one is answered 0x88 (server unavailable). */
  hashQueueMaxCount: 512,
  /** Logins remembered as right, one per user name; the one longest unused goes first. */
  acceptedMaxCount: 16_384,
  /** Credentials remembered as wrong; the ones longest unused go first. */
  rejectedMaxCount: 4_096,
  /** User names, and addresses, whose failures are counted; the ones longest unused go first. */
  throttleKeysMaxCount: 4_096,
  /** Longest SCRAM message read; a longer one is refused. */
  scramMessageMaxBytes: 2_048,
  /** Identities whose rules are kept compiled; the ones longest unused are compiled again. */
  compiledMaxCount: 4_096,
} as const;
