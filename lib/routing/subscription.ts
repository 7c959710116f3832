import type { QoS } from '../protocol/packet.js';
import type { TrieEntry } from './subscription-trie.js';

/** What the router knows of whoever receives messages: one session. */
export interface Subscriber {
  /** Scratch of the router while it merges overlapping subscriptions. */
  routeMark: number;
  routeTarget: RouteTarget | undefined;
  /** Whether a message can leave for it now. Shared subscriptions prefer members who are. */
  readonly online: boolean;
  /** Asked once per topic for subscriptions whose grant is `some`. */
  canReceive(topic: string): boolean;
}

export interface SubscriptionOptions {
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  /** Subscription Identifier; 0: none. */
  readonly identifier: number;
}

/** One filter of one session. */
export class Subscription<S extends Subscriber = Subscriber> implements TrieEntry {
  readonly kind = 'subscription';
  slot = -1;
  /** Whether some topics that the filter matches may not be received, so that each topic has to be asked. */
  partial: boolean;

  constructor(
    readonly subscriber: S,
    /** Without `$share/<group>/`. */
    readonly filter: string,
    readonly options: SubscriptionOptions,
    /** Share name; empty: not shared. */
    readonly group: string,
    partial: boolean,
  ) {
    this.partial = partial;
  }
}

/** Where one message goes within a session, after its overlapping subscriptions were merged [MQTT-3.3.4-2, 3.3.4-4]. */
export class RouteTarget<S extends Subscriber = Subscriber> {
  constructor(
    readonly session: S,
    /** The highest granted QoS of the matching subscriptions. */
    public qos: QoS,
    public retainAsPublished: boolean,
    /** All matching Subscription Identifiers, in no particular order; undefined: none. */
    public identifiers: number[] | undefined,
    /** The same for a message that this session published itself: this very object, or what No Local leaves, or null. */
    public own: RouteTarget<S> | null,
  ) {}
}

/** The members of `$share/<name>/<filter>`; each message goes to one of them. */
export class SharedGroup<S extends Subscriber = Subscriber> implements TrieEntry {
  readonly kind = 'group';
  slot = -1;
  /** As its members subscribed to it. */
  readonly sharedFilter: string;
  /** Never changed in place: who holds it has the members as they were. */
  members: readonly Subscription<S>[] = [];
  #next = 0;

  constructor(
    readonly name: string,
    readonly filter: string,
  ) {
    this.sharedFilter = `$share/${name}/${filter}`;
  }

  /**
   * The next member in turn, those who are online first; a member who may not receive the topic is passed over.
   * Offline members are chosen only for messages that can wait (`durable`). Undefined: nobody.
   */
  choose(topic: string, durable: boolean): Subscription<S> | undefined {
    const count = this.members.length;
    let waiting: Subscription<S> | undefined;
    for (let tried = 0; tried < count; tried++) {
      const index = (this.#next + tried) % count;
      const member = this.members[index];
      if (member === undefined || (member.partial && !member.subscriber.canReceive(topic))) continue;
      if (member.subscriber.online) {
        this.#next = index + 1;
        return member;
      }
      // A member without QoS would lose what it cannot wait for.
      if (member.options.qos > 0) waiting ??= member;
    }
    if (!durable || waiting === undefined) return undefined;
    this.#next = this.members.indexOf(waiting) + 1;
    return waiting;
  }
}

/** An in-process subscriber: whoever embeds the gateway, $SYS, bridges. */
export class Listener<M> implements TrieEntry {
  readonly kind = 'listener';
  slot = -1;
  constructor(
    readonly filter: string,
    readonly deliver: (message: M, done: () => void) => void,
  ) {}
}
