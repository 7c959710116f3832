/** How long each session must live, from what was granted and when its connections ended, and Session Present from it. */
import type { Served } from './served.js';
import type { Sometimes } from './sometimes.js';
import type { WillLedger } from './will-ledger.js';

interface Entry {
  readonly key: number;
  /** When the last connection ended; undefined while one is there. */
  parkedAt: number | undefined;
  expiryS: number;
  /** A clean start that owned the id may have ended it, even if that connection did not come through. */
  mayBeGone: boolean;
}

export interface SessionLedgerContext {
  readonly scheduler: { now(): number };
  readonly sometimes: Sometimes;
  readonly wills: WillLedger;
  readonly fail: (invariant: string, text: string) => void;
}

const EXPIRES_NEVER = 0xffffffff;

export class SessionLedger {
  readonly #byClient = new Map<string, Entry>();
  readonly #context: SessionLedgerContext;
  readonly #toleranceMs: number;

  constructor(context: SessionLedgerContext, toleranceMs: number) {
    this.#context = context;
    this.#toleranceMs = toleranceMs;
  }

  /** A connection whose credentials passed asks for the session of its client id. */
  claimed({ clientId, connection }: Served): void {
    const entry = this.#byClient.get(clientId);
    if (entry === undefined || !connection.admission.cleanStart) return;
    entry.mayBeGone = true;
    this.#context.wills.sessionMayEnd(entry.key, this.#context.scheduler.now());
  }

  /** @param known the session object was granted before. */
  granted(served: Served, known: boolean): void {
    const { clientId, connection, sessionKey } = served;
    const { fail, sometimes, wills, scheduler } = this.#context;
    const now = scheduler.now();
    const old = this.#byClient.get(clientId);
    const same = known && old?.key === sessionKey;
    if (connection.admission.cleanStart && known) fail('a clean start gets a new session', clientId);
    if (known && !same) fail('a session that was replaced does not return', clientId);
    if (old !== undefined && !connection.admission.cleanStart) this.#checkPresence(old, same, clientId, now);
    if (same) {
      sometimes.saw('session resumed');
      wills.sessionResumed(sessionKey, now);
    } else if (old !== undefined) {
      if (connection.admission.cleanStart) sometimes.saw('session replaced by a clean start');
      wills.sessionEnded(old.key, now);
    }
    this.#byClient.set(clientId, {
      key: sessionKey,
      parkedAt: undefined,
      expiryS: connection.admission.expiryS,
      mayBeGone: false,
    });
  }

  /** @param cleanStartWaits a clean start has passed its credentials and waits for this connection to leave. */
  connectionEnded({ clientId, sessionKey }: Served, expiryS: number, cleanStartWaits: boolean): void {
    const entry = this.#byClient.get(clientId);
    if (entry?.key !== sessionKey) {
      this.#context.fail('a session is granted to one connection at a time', clientId);
      return;
    }
    entry.parkedAt = this.#context.scheduler.now();
    entry.expiryS = expiryS;
    if (!cleanStartWaits) return;
    entry.mayBeGone = true;
    this.#context.wills.sessionMayEnd(sessionKey, entry.parkedAt);
  }

  /** Client ids whose session must be there at `now`, and those whose session may be. */
  expected(now: number): { certain: Set<string>; possible: Set<string> } {
    const certain = new Set<string>();
    const possible = new Set<string>();
    for (const [clientId, entry] of this.#byClient) {
      const endsAt = endOf(entry);
      if (now < endsAt && !entry.mayBeGone) certain.add(clientId);
      if (now <= endsAt + this.#toleranceMs) possible.add(clientId);
    }
    return { certain, possible };
  }

  #checkPresence(old: Entry, same: boolean, clientId: string, now: number): void {
    const endsAt = endOf(old);
    if (!same && now < endsAt && !old.mayBeGone)
      this.#context.fail('a session lives until its expiry', `${clientId} until ${endsAt.toFixed(0)}`);
    if (same && now > endsAt + this.#toleranceMs)
      this.#context.fail('a session ends with its expiry', `${clientId} at ${endsAt.toFixed(0)}`);
  }
}

function endOf({ parkedAt, expiryS }: Entry): number {
  if (parkedAt === undefined || expiryS === EXPIRES_NEVER) return Infinity;
  return parkedAt + expiryS * 1000;
}
