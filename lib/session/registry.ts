/**
 * Which connection owns a client id, and the sessions of all ids. One connection owns an id from the moment its
 * credentials passed; a newer one makes the owner leave and gets the id when the owner has left entirely, so there
 * are never two [MQTT-3.1.4-3]. Of several that wait only the newest gets it.
 *
 *     free ──claim──▶ owned ──claim──▶ owned, one waits ──owner released──▶ owned by the one that waited
 */
import type { LogPosition, SessionImage } from '../contracts/store.js';
import type { Will } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { SessionEnvironment } from './environment.js';
import { Session } from './session.js';

/** A connection that wants a client id. All calls come outside of its own calls into the registry, or as their last act. */
export interface Claimant {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly cleanStart: boolean;
  readonly expiryS: number;
  readonly will: Will | undefined;
  /** The session is this connection's. @param present Session Present of CONNACK. */
  granted(session: Session, present: boolean): void;
  /** The id cannot be had; the claim is over. */
  refused(reasonCode: number): void;
  /** A newer connection wants the id: leave, then call `release`. */
  evict(): void;
}

interface Claim {
  owner: Claimant;
  waiting: Claimant | undefined;
  /** What the owner gets once its first step is stored. */
  promised: { readonly session: Session; readonly present: boolean } | undefined;
}

/** Takeovers of one id within the window; beyond them the newer connection is refused, so that flapping twins cannot storm. */
export interface TakeoverLimit {
  readonly count: number;
  readonly windowMs: number;
}

export class SessionRegistry {
  readonly #sessions = new Map<string, Session>();
  readonly #claims = new Map<string, Claim>();
  readonly #takeovers = new Map<string, number[]>();
  /** Sessions that have ended and are stored still, by client id: see `Session`. */
  readonly #ending = new Map<string, Session>();
  /** Where the end of the last session that ended is stored. */
  #endedAt: LogPosition = 0;
  readonly #env: SessionEnvironment;
  readonly #takeoverLimit: TakeoverLimit;
  readonly #onEnd = (session: Session, position: LogPosition): void => {
    this.#endedAt = Math.max(this.#endedAt, position);
    const { clientId } = session;
    if (this.#sessions.get(clientId) === session) this.#sessions.delete(clientId);
    if (session.stored) this.#ending.set(clientId, session);
    else this.#ending.delete(clientId);
  };

  constructor(env: SessionEnvironment, takeoverLimit: TakeoverLimit) {
    this.#env = env;
    this.#takeoverLimit = takeoverLimit;
  }

  /** Sessions, connected and parked. */
  get count(): number {
    return this.#sessions.size;
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  /** The one that the store knows: also one that has ended, until that is stored. */
  stored(clientId: string): Session | undefined {
    const session = this.#sessions.get(clientId) ?? this.#ending.get(clientId);
    return session?.stored === true ? session : undefined;
  }

  sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  claim(claimant: Claimant): void {
    const claim = this.#claims.get(claimant.clientId);
    // A session, its queue and its will belong to the user who made it: knowing a client id gives nobody else any of it.
    const holder = claim?.owner ?? this.#sessions.get(claimant.clientId);
    if (holder !== undefined && holder.username !== claimant.username) {
      claimant.refused(ReasonCode.notAuthorized);
      return;
    }
    if (claim === undefined) {
      this.#claims.set(claimant.clientId, { owner: claimant, waiting: undefined, promised: undefined });
      this.#open(claimant);
      return;
    }
    const superseded = claim.waiting;
    if (superseded !== undefined) {
      claim.waiting = claimant;
      superseded.refused(ReasonCode.serverBusy);
    } else if (this.#mayTakeOver(claimant.clientId)) {
      claim.waiting = claimant;
      claim.owner.evict();
    } else {
      claimant.refused(ReasonCode.connectionRateExceeded);
    }
  }

  /** The connection has left: it owns and wants nothing any more. */
  release(claimant: Claimant): void {
    const claim = this.#claims.get(claimant.clientId);
    if (claim === undefined) return;
    if (claim.waiting === claimant) {
      claim.waiting = undefined;
      return;
    }
    if (claim.owner !== claimant) return;
    this.#takeBack(claim);
    const next = claim.waiting;
    if (next === undefined) {
      this.#claims.delete(claimant.clientId);
      return;
    }
    claim.owner = next;
    claim.waiting = undefined;
    this.#open(next);
  }

  /** A session as it was before a restart. */
  restore(image: SessionImage): Session {
    const session = new Session(image, this.#env, this.#onEnd);
    this.#sessions.set(image.clientId, session);
    session.restore(image);
    return session;
  }

  #open(claimant: Claimant): void {
    const session = this.#sessions.get(claimant.clientId);
    if (session === undefined || claimant.cleanStart) {
      this.#grant(claimant);
      return;
    }
    session.load(() => {
      // It may have left, or have been told to, while its session was being read.
      if (this.#claims.get(claimant.clientId)?.owner === claimant) this.#grant(claimant);
    });
  }

  #grant(claimant: Claimant): void {
    const old = this.#sessions.get(claimant.clientId);
    if (claimant.cleanStart) old?.end();
    this.#env.wills.hurry(claimant.clientId);
    this.#ending.get(claimant.clientId)?.finish();
    if (old !== undefined && !old.ended) {
      const connectedAt = this.#recordConnect(claimant, old.stored ? 'connected' : undefined);
      old.awaitResume();
      this.#promise(claimant, old, true, connectedAt);
      return;
    }
    if (this.#sessions.size >= this.#env.limits.sessionsMax) {
      claimant.refused(ReasonCode.quotaExceeded);
      return;
    }
    const session = new Session(claimant, this.#env, this.#onEnd);
    this.#sessions.set(claimant.clientId, session);
    const createdAt = this.#recordConnect(claimant, session.durable ? 'created' : undefined);
    // An older session of this id, ended just now or a moment ago, may not come back after a crash.
    this.#promise(claimant, session, false, Math.max(this.#endedAt, createdAt));
  }

  /** @returns 0 where nothing is to be stored. */
  #recordConnect(claimant: Claimant, kind: 'created' | 'connected' | undefined): LogPosition {
    const { clientId, username, expiryS, will } = claimant;
    switch (kind) {
      case 'created':
        return this.#env.store.record({ kind, clientId, username, expiryS, will });
      case 'connected':
        return this.#env.store.record({ kind, clientId, expiryS, will });
      case undefined:
        return 0;
    }
  }

  /**
   * CONNACK promises the session, or that there is none of before: what says so is stored first. Until then a parked session
   * stays as it is, so that a claimant who leaves early takes nothing from it.
   */
  #promise(claimant: Claimant, session: Session, present: boolean, position: LogPosition): void {
    const claim = this.#claims.get(claimant.clientId);
    if (claim !== undefined) claim.promised = { session, present };
    this.#env.commits.after(position, {
      committed: () => {
        if (claim === undefined || claim.promised?.session !== session || claim.owner !== claimant) return;
        claim.promised = undefined;
        if (session.ended) {
          // It expired meanwhile.
          this.#grant(claimant);
          return;
        }
        if (present) session.resume(claimant);
        claimant.granted(session, present);
      },
    });
  }

  /** The owner left before it got what it was promised. */
  #takeBack(claim: Claim): void {
    const { promised } = claim;
    claim.promised = undefined;
    if (promised === undefined) return;
    if (promised.present) promised.session.stayParked();
    else promised.session.abandon();
  }

  #mayTakeOver(clientId: string): boolean {
    const now = this.#env.clock.now();
    const { count, windowMs } = this.#takeoverLimit;
    const recent = (this.#takeovers.get(clientId) ?? []).filter((at) => now - at < windowMs);
    if (recent.length >= count) return false;
    recent.push(now);
    this.#takeovers.set(clientId, recent);
    return true;
  }

  /** Called now and then: forgets takeovers that no longer count. */
  sweep(now: number): void {
    for (const [clientId, times] of this.#takeovers) {
      const last = times[times.length - 1];
      if (last === undefined || now - last >= this.#takeoverLimit.windowMs) this.#takeovers.delete(clientId);
    }
  }
}
