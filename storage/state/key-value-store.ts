/** What the state needs of a database: LevelDB in the gateway, another one in the simulation. Keys are ordered by their UTF-8. */
export interface KeyValueStore {
  /**
   * @param create whether one that does not exist is made; without it a missing one is an error: an empty database in place of a lost
   * one would look like a gateway that never stored anything. @throws SprawlError STORAGE_LOCKED, STORAGE_CORRUPT, STORAGE_FULL, STORAGE_IO
   */
  open(create: boolean): Promise<void>;
  get(key: string): Promise<Uint8Array | undefined>;
  /** All of them or none; null removes. They survive a loss of power once this resolved. @throws SprawlError STORAGE_FULL, STORAGE_IO */
  write(changes: ReadonlyMap<string, Uint8Array | null>): Promise<void>;
  /** Keys from `from` on and below `to`, in order. */
  entries(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]>;
  /**
   * Removes the keys from `from` on and below `to` without reading their values; a crash may leave some of them.
   * @throws SprawlError STORAGE_CORRUPT, STORAGE_IO
   */
  removeRange(from: string, to: string): Promise<void>;
  /** Removes what is there, for good; only while it is closed. */
  destroy(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}
