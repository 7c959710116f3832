/** A byte stream to one client: TCP, TLS, WebSocket, or the simulation's. Nothing here is asynchronous but the callbacks. */
export interface Transport {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /**
   * Takes the bytes (they may not be changed until `taken`) and calls `taken` once for each write, in order, when the
   * operating system has them. Never throws; after `destroy` it calls nothing.
   */
  write(bytes: Uint8Array, taken: () => void): void;
  /** Sends what was written, then closes. */
  end(): void;
  /** Closes at once; what was not taken is lost. */
  destroy(): void;
  /** Stops and restarts reading. */
  pause(): void;
  resume(): void;
}

/** What a transport reports. Each is called outside of any call into the transport; `closed` exactly once, as the last one. */
export interface TransportHandler {
  /** The bytes belong to the handler from now on. */
  data(bytes: Uint8Array): void;
  closed(error: Error | undefined): void;
}
