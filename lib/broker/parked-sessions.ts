import type { Session } from '../session/session.js';

/**
 * MQTT 5 sessions that outlive their connection, against Aedes's `pendingSessionsLimit`: the newest that finds no room ends
 * at once, none that waits is driven out.
 */
export class ParkedSessions {
  readonly maxCount: number;
  readonly #clientIds = new Set<string>();

  constructor(maxCount: number) {
    this.maxCount = maxCount;
  }

  /** @param session its connection has just ended. @returns false where it has to end too. */
  park({ clientId }: Session): boolean {
    if (this.#clientIds.size >= this.maxCount) return false;
    this.#clientIds.add(clientId);
    return true;
  }

  /** It expired, or its client is back. */
  leave(clientId: string): void {
    this.#clientIds.delete(clientId);
  }
}
