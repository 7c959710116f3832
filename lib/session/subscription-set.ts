/**
 * SUBSCRIBE and UNSUBSCRIBE of one session: limits, access, the router, the answer, and then what is retained.
 */
import type { StoredSubscription } from '../contracts/store.js';
import type { SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { isValidTopicFilter, parseSharedFilter } from '../protocol/topic.js';
import { Subscription, type SubscriptionOptions } from '../routing/subscription.js';
import { C, count } from '../telemetry/counters.js';
import type { HookSubscription, SessionEnvironment, SessionLink } from './environment.js';
import type { Session } from './session.js';

/** One line of a SUBSCRIBE on its way: the code for SUBACK and, where granted, what to add. */
interface Verdict {
  readonly code: number;
  readonly key: string;
  readonly subscription: Subscription<Session> | undefined;
}

/** Why a filter is not granted: what SUBACK says, and how it is counted. */
interface Refusal {
  readonly code: number;
  readonly counter: number;
}

const INVALID: Refusal = { code: ReasonCode.topicFilterInvalid, counter: C.subscriptionRefusedInvalid };
const OVER_QUOTA: Refusal = { code: ReasonCode.quotaExceeded, counter: C.subscriptionRefusedQuota };
const NOT_AUTHORIZED: Refusal = {
  code: ReasonCode.notAuthorized,
  counter: C.subscriptionRefusedNotAuthorized,
};
/** 0xa2 would say that there are no wildcards here at all. */
const TOO_WIDE: Refusal = { code: ReasonCode.notAuthorized, counter: C.subscriptionRefusedWildcard };

/** A SUBSCRIBE as far as it has been judged. */
interface Judged {
  readonly verdicts: Verdict[];
  /** Filters among them that the session does not have. */
  newCount: number;
}

export class SubscriptionSet {
  /** By filter as the client wrote it, `$share/...` included. */
  readonly #byFilter = new Map<string, Subscription<Session>>();
  /** By filter, those whose SUBACK waits and that are owed what is retained. An UNSUBSCRIBE ends that for all of a filter. */
  readonly #owing = new Map<string, Set<Subscription<Session>>>();
  /** Filters that are new and being stored: the limit is for them, too. */
  #storingCount = 0;
  readonly #session: Session;
  readonly #env: SessionEnvironment;

  constructor(session: Session, env: SessionEnvironment) {
    this.#session = session;
    this.#env = env;
  }

  get count(): number {
    return this.#byFilter.size;
  }

  get(filter: string): Subscription<Session> | undefined {
    return this.#byFilter.get(filter);
  }

  filters(): IterableIterator<string> {
    return this.#byFilter.keys();
  }

  /** @param answer gets the codes for SUBACK once everything they promise is stored; undefined where nobody waits. */
  subscribe(packet: SubscribePacket, link: SessionLink | undefined, answer: (codes: number[]) => void): void {
    const { subscriptions: requests } = packet;
    const identifier = packet.properties.subscriptionIdentifiers?.[0] ?? 0;
    const judged: Judged = { verdicts: [], newCount: 0 };
    if (requests.length > this.#env.limits.filtersPerSubscribeMax) {
      for (const { filter } of requests) judged.verdicts.push(this.#refuse(filter, OVER_QUOTA));
      this.#store(judged, answer);
    } else if (this.#env.hooks.authorizeSubscribe === undefined) {
      for (const request of requests) this.#judge(request, identifier, judged);
      this.#store(judged, answer);
    } else {
      link?.suspend();
      this.#askHook(requests, identifier, judged, () => {
        // A client that has another connection by now has asked again, or does not want it any more.
        if (link === undefined || this.#session.link === link) this.#store(judged, answer);
        else answer(requests.map(() => ReasonCode.unspecifiedError));
        link?.resume();
      });
    }
  }

  /** @param answer as in `subscribe`, with codes for UNSUBACK. */
  unsubscribe(packet: UnsubscribePacket, answer: (codes: number[]) => void): void {
    const apply = (): void => {
      // As it is now: a SUBSCRIBE before it may have waited for the log, too.
      const codes = packet.filters.map((filter) =>
        this.remove(filter) ? ReasonCode.success : ReasonCode.noSubscriptionExisted,
      );
      // A session that has ended told of all its filters.
      if (!this.#session.ended) this.#env.hooks.onUnsubscribe?.(this.#session, packet.filters);
      answer(codes);
    };
    if (!this.#session.durable) {
      apply();
      return;
    }
    const { clientId, outbound } = this.#session;
    outbound.recordOwed();
    const position = this.#env.store.record({ kind: 'unsubscribed', clientId, filters: packet.filters });
    this.#env.commits.after(position, { committed: apply });
  }

  /** @returns whether it was there. */
  remove(filter: string): boolean {
    const subscription = this.#byFilter.get(filter);
    if (subscription === undefined) return false;
    this.#byFilter.delete(filter);
    this.#owing.delete(filter);
    this.#env.router.remove(subscription);
    this.#session.outbound.dropOwed(filter);
    return true;
  }

  stored(): StoredSubscription[] {
    return [...this.#byFilter].map(([filter, { options }]) => ({ filter, options }));
  }

  /** As they were granted before a restart. Whether they still would be is asked topic by topic, and of those that are new. */
  restore(subscriptions: readonly StoredSubscription[]): void {
    for (const { filter, options } of subscriptions) this.#put(filter, this.#subscriptionOf(filter, options));
  }

  /** A SUBSCRIBE from the log. */
  replay(subscriptions: readonly StoredSubscription[]): void {
    for (const { filter, options } of subscriptions) {
      const subscription = this.#subscriptionOf(filter, options);
      if (this.#put(filter, subscription)) this.#sendRetained(subscription);
    }
  }

  #subscriptionOf(key: string, options: SubscriptionOptions): Subscription<Session> {
    const shared = parseSharedFilter(key);
    const filter = shared?.filter ?? key;
    const partial = this.#env.authorizer.canSubscribe(this.#session, filter) !== 'all';
    return new Subscription(this.#session, filter, options, shared?.group ?? '', partial);
  }

  /** @returns whether it is owed what is retained. */
  #put(key: string, subscription: Subscription<Session>): boolean {
    const old = this.#byFilter.get(key);
    if (old !== undefined) this.#env.router.remove(old);
    this.#byFilter.set(key, subscription);
    this.#env.router.add(subscription);
    // Retained messages are not sent for shared subscriptions [MQTT 5, 4.8.2].
    const { retainHandling } = subscription.options;
    const wanted = retainHandling === 0 || (retainHandling === 1 && old === undefined);
    return wanted && subscription.group === '';
  }

  clear(): void {
    for (const subscription of this.#byFilter.values()) this.#env.router.remove(subscription);
    this.#byFilter.clear();
    this.#owing.clear();
  }

  /** Access rules changed: which filters need to be asked topic by topic is decided again. */
  reauthorize(): void {
    for (const subscription of this.#byFilter.values()) this.#decidePartial(subscription);
  }

  #decidePartial(subscription: Subscription<Session>): void {
    subscription.partial = this.#env.authorizer.canSubscribe(this.#session, subscription.filter) !== 'all';
  }

  #judge(request: SubscriptionRequest, identifier: number, judged: Judged): void {
    const verdict = this.#verdictOn(request, identifier, judged.newCount);
    if (verdict.subscription !== undefined && !this.#byFilter.has(verdict.key)) judged.newCount++;
    judged.verdicts.push(verdict);
  }

  /** @param newCount filters of the same packet that come on top of what the session has. */
  #verdictOn(request: SubscriptionRequest, identifier: number, newCount: number): Verdict {
    const { limits, authorizer } = this.#env;
    const shared = parseSharedFilter(request.filter);
    const filter = shared?.filter ?? request.filter;
    if (!isValidTopicFilter(filter) || exceeds(filter, limits.topicMaxBytes, limits.topicMaxLevels)) {
      return this.#refuse(request.filter, INVALID);
    }
    const isNew = !this.#byFilter.has(request.filter);
    const count = this.#byFilter.size + this.#storingCount + newCount;
    if (isNew && count >= limits.subscriptionsPerClientMax) {
      return this.#refuse(request.filter, OVER_QUOTA);
    }
    const grant = authorizer.canSubscribe(this.#session, filter);
    if (grant === 'none') return this.#refuse(request.filter, NOT_AUTHORIZED);
    if (grant === 'wide') return this.#refuse(request.filter, TOO_WIDE);
    const options: SubscriptionOptions = {
      qos: request.qos,
      // A bridge of MQTT 3.1.1 cannot ask for it, and would give back what it brought.
      noLocal: request.noLocal || this.#session.isBridge,
      retainAsPublished: request.retainAsPublished,
      retainHandling: request.retainHandling,
      identifier,
    };
    const subscription = new Subscription(
      this.#session,
      filter,
      options,
      shared?.group ?? '',
      grant === 'some',
    );
    return { code: request.qos, key: request.filter, subscription };
  }

  #refuse(key: string, { code, counter }: Refusal): Verdict {
    count(this.#env.counters, counter);
    return { code, key, subscription: undefined };
  }

  /** One request after the other; a hook that answers at once is asked in a loop: no packet is too long for the stack. */
  #askHook(
    requests: readonly SubscriptionRequest[],
    identifier: number,
    judged: Judged,
    done: () => void,
  ): void {
    const rest = requests.values();
    let waits = false;
    let loops = false;
    const next = (): void => {
      if (loops) return;
      loops = true;
      while (!waits) {
        const { value: request } = rest.next();
        if (request === undefined) {
          done();
          return;
        }
        waits = true;
        this.#askHookAbout(request, (granted) => {
          if (granted === null) judged.verdicts.push(this.#refuse(request.filter, NOT_AUTHORIZED));
          else this.#judge({ ...request, filter: granted.topic, qos: granted.qos }, identifier, judged);
          waits = false;
          next();
        });
      }
      loops = false;
    };
    next();
  }

  /** @param answered gets null where the hook refuses. */
  #askHookAbout(request: SubscriptionRequest, answered: (granted: HookSubscription | null) => void): void {
    const asked: HookSubscription = { topic: request.filter, qos: request.qos };
    if (request.noLocal) asked.nl = true;
    if (request.retainAsPublished) asked.rap = true;
    if (request.retainHandling !== 0) asked.rh = request.retainHandling;
    const hook = this.#env.hooks.authorizeSubscribe;
    if (hook === undefined) answered(asked);
    // A QoS beyond 2 is how a hook of Aedes refuses, too.
    else
      hook(this.#session, asked, (error, granted) =>
        answered(error !== undefined || granted === null || granted.qos > 2 ? null : granted),
      );
  }

  #store({ verdicts, newCount }: Judged, answer: (codes: number[]) => void): void {
    const granted = verdicts.filter((verdict) => verdict.subscription !== undefined);
    if (!this.#session.durable || granted.length === 0) {
      this.#apply(verdicts, answer);
      return;
    }
    const subscriptions: StoredSubscription[] = [];
    for (const { key, subscription } of granted) {
      if (subscription !== undefined) subscriptions.push({ filter: key, options: subscription.options });
    }
    const { clientId } = this.#session;
    const position = this.#env.store.record({ kind: 'subscribed', clientId, subscriptions });
    this.#storingCount += newCount;
    const { version } = this.#env.authorizer;
    const committed = (): void => {
      this.#storingCount -= newCount;
      // `reauthorize` has not seen them.
      if (this.#env.authorizer.version !== version)
        for (const { subscription } of granted)
          if (subscription !== undefined) this.#decidePartial(subscription);
      this.#apply(verdicts, answer);
    };
    this.#env.commits.after(position, { committed });
  }

  #apply(verdicts: readonly Verdict[], answer: (codes: number[]) => void): void {
    if (this.#session.ended) return;
    const owed: [key: string, subscription: Subscription<Session>][] = [];
    for (const { key, subscription } of verdicts) {
      if (subscription === undefined || !this.#put(key, subscription)) continue;
      owed.push([key, subscription]);
      const owing = this.#owing.get(key);
      if (owing === undefined) this.#owing.set(key, new Set([subscription]));
      else owing.add(subscription);
    }
    const finish = (): void => {
      answer(verdicts.map((verdict) => verdict.code));
      this.#env.hooks.onSubscribe?.(
        this.#session,
        verdicts.map((verdict) => ({ topic: verdict.key, qos: verdict.code })),
      );
      for (const [key, subscription] of owed) this.#settle(key, subscription);
    };
    const { mesh } = this.#env;
    if (mesh === undefined) finish();
    else
      mesh.whenKnown(() => {
        if (!this.#session.ended) finish();
      });
  }

  /**
   * While its SUBACK waited it may have gone [MQTT-3.10.4-2], also where another SUBSCRIBE has come since. Where that one took its place, each of
   * the two is owed what is retained [MQTT-3.8.4-3].
   */
  #settle(key: string, subscription: Subscription<Session>): void {
    const owing = this.#owing.get(key);
    if (owing?.delete(subscription) !== true) return;
    if (owing.size === 0) this.#owing.delete(key);
    this.#sendRetained(subscription);
  }

  #sendRetained(subscription: Subscription<Session>): void {
    const topics: string[] = [];
    const now = this.#env.clock.now();
    const expired: string[] = [];
    this.#env.store.retained.forEachMatch(subscription.filter, (message) => {
      if (message.expiresAt <= now) expired.push(message.topic);
      else if (!subscription.partial || this.#session.canReceive(message.topic)) topics.push(message.topic);
    });
    for (const topic of expired) this.#env.retention.delete(topic);
    if (topics.length === 0) return;
    const { qos, identifier } = subscription.options;
    const identifiers = identifier === 0 ? undefined : [identifier];
    this.#session.outbound.oweRetained(topics, subscription.filter, qos, identifiers);
  }
}

/** Whether a topic name or filter is beyond the gateway's limits; bytes are those of its UTF-8. */
export function exceeds(topic: string, maxBytes: number, maxLevels: number): boolean {
  if (topic.length > maxBytes || (topic.length * 3 > maxBytes && Buffer.byteLength(topic) > maxBytes))
    return true;
  let levels = 1;
  for (let i = topic.indexOf('/'); i >= 0; i = topic.indexOf('/', i + 1)) levels++;
  return levels > maxLevels;
}
