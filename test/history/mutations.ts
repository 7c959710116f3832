/**
 * Single mistakes in a history, each placed where exactly one check must see it. A mistake finds its places from the events alone, so
 * that it fits any history. Over 250 lines: the table and what the places have to fulfil are read together.
 */
import { EXPIRES_NEVER, type ConnectEvent, type HistoryEvent, type Mid } from './event.js';
import type { CheckOptions } from './options.js';
import { matches, parseFilter } from './topic-match.js';
import type { CheckId } from './verdict.js';

type Of<E extends HistoryEvent['e']> = HistoryEvent & { readonly e: E };

export interface Mutation {
  readonly name: string;
  readonly check: CheckId;
  /** Every place where it can be made: the changed history. */
  readonly places: (index: HistoryIndex) => (() => HistoryEvent[])[];
}

interface Published {
  readonly event: Of<'pub!'>;
  readonly at: number;
  /** Position of the first acknowledgement that accepted it. */
  readonly okAt: number | undefined;
}

/** A subscription that was made once and stayed to the end. */
interface Lasting {
  readonly cid: string;
  readonly filter: string;
  readonly answeredAt: number;
}

const MS = 1_000_000n;
/** What comes so much too late is no matter of microseconds. */
const LATER_MS = 100;
const keyOf = ({ pub, seq }: Mid): string => `${pub}/${seq}`;

/** What the places are found with: positions in the array of events stand for time. */
export class HistoryIndex {
  readonly published = new Map<string, Published>();
  readonly #connects: (Of<'conn!'> | undefined)[] = [];
  readonly drainedAt: number;

  constructor(
    readonly events: readonly HistoryEvent[],
    /** As the checker has them. */
    readonly times: Pick<CheckOptions, 'settleMs' | 'takeoverMs' | 'willLateMs'>,
  ) {
    const current = new Map<string, Of<'conn!'>>();
    for (const [at, event] of events.entries()) {
      if (event.e === 'conn!') current.set(event.p, event);
      this.#connects.push(current.get(event.p));
      if (event.e === 'pub!' && !this.published.has(keyOf(event.m)))
        this.published.set(keyOf(event.m), { event, at, okAt: undefined });
      if (event.e === 'pub.' && event.rc < 0x80) {
        const published = this.published.get(keyOf(event.m));
        if (published?.okAt === undefined && published !== undefined)
          this.published.set(keyOf(event.m), { ...published, okAt: at });
      }
    }
    this.drainedAt = events.findIndex(({ e }) => e === 'drain.');
  }

  /** Positions of the events of a kind that fulfil `holds`. */
  where<E extends HistoryEvent['e']>(
    e: E,
    holds: (event: Of<E>, at: number) => boolean = () => true,
  ): { readonly event: Of<E>; readonly at: number }[] {
    const found: { event: Of<E>; at: number }[] = [];
    for (const [at, event] of this.events.entries()) {
      if (isOf(event, e) && holds(event, at)) found.push({ event, at });
    }
    return found;
  }

  connectOf(at: number): Of<'conn!'> | undefined {
    return this.#connects[at];
  }

  cidOf(at: number): string | undefined {
    return this.connectOf(at)?.cid;
  }

  get(m: Mid | null): Published | undefined {
    return m === null ? undefined : this.published.get(keyOf(m));
  }

  /** Whether the client id has, at any time, a filter that matches and fulfils `holds`. */
  asks(cid: string | undefined, topic: string, holds: (event: Of<'sub!'>) => boolean): boolean {
    return (
      this.where('sub!', (event, at) => this.cidOf(at) === cid && covers(event.f, topic) && holds(event))
        .length > 0
    );
  }

  isShared(cid: string | undefined, topic: string): boolean {
    return this.asks(cid, topic, ({ f }) => f.startsWith('$share/'));
  }

  isAsPublished(cid: string | undefined, topic: string): boolean {
    return this.asks(cid, topic, ({ rap }) => rap === true);
  }

  /** Live deliveries of a message to a client id. */
  receipts(cid: string, m: Mid): number[] {
    return this.where(
      'recv',
      ({ m: other, retain }) => !retain && other !== null && keyOf(other) === keyOf(m),
    )
      .map(({ at }) => at)
      .filter((at) => this.cidOf(at) === cid);
  }

  /** Whether the client id got the message with RETAIN, too: of two copies the check of order cannot tell which one came first. */
  cameRetained(cid: string, m: Mid): boolean {
    return this.where(
      'recv',
      ({ m: other, retain }) => retain && other !== null && keyOf(other) === keyOf(m),
    ).some(({ at }) => this.cidOf(at) === cid);
  }

  /** Subscriptions that alone bring what they match, from their only SUBSCRIBE to the end of the drain. */
  lasting(): Lasting[] {
    const found: Lasting[] = [];
    for (const { event, at } of this.where('sub.', ({ rc }) => rc === 1 || rc === 2)) {
      const cid = this.cidOf(at);
      if (cid === undefined || event.f.startsWith('$share/')) continue;
      const others = this.where(
        'sub!',
        (other, otherAt) => this.cidOf(otherAt) === cid && (other.p !== event.p || other.pid !== event.pid),
      );
      if (others.some(({ event: { f } }) => overlap(f, event.f))) continue;
      if (this.where('unsub!', ({ f }, otherAt) => this.cidOf(otherAt) === cid && f === event.f).length > 0)
        continue;
      if (this.where('sub!', ({ f, nl, rap }) => f === event.f && (nl === true || rap === true)).length > 0)
        continue;
      if (this.#staysWhole(cid, at)) found.push({ cid, filter: event.f, answeredAt: at });
    }
    return found;
  }

  /** Messages that such a subscription must bring and that were received. */
  owed({ cid, filter, answeredAt }: Lasting): Published[] {
    const lastNs = (this.events[this.drainedAt]?.t ?? 0n) - BigInt(this.times.settleMs) * MS;
    return [...this.published.values()].filter(
      ({ event, at, okAt }) =>
        event.q > 0 &&
        at > answeredAt &&
        okAt !== undefined &&
        (this.events[okAt]?.t ?? 0n) < lastNs &&
        event.expiry === undefined &&
        event.empty !== true &&
        covers(filter, event.topic) &&
        this.receipts(cid, event.m).length > 0,
    );
  }

  /** The session lives from `at` to the end, and its client is there for it. */
  #staysWhole(cid: string, at: number): boolean {
    const later = this.where('conn!', (event, other) => event.cid === cid && other > at);
    if (later.some(({ event }) => event.clean)) return false;
    const answers = this.where('conn.', (_event, other) => this.cidOf(other) === cid && other > at);
    if (answers.length !== later.length || answers.some(({ event }) => !event.present || event.rc !== 0))
      return false;
    const start = answers.at(-1)?.at ?? at;
    const lastNs = (this.events[this.drainedAt]?.t ?? 0n) - BigInt(this.times.settleMs) * MS;
    if ((this.events[start]?.t ?? 0n) > lastNs) return false;
    const ends = this.where(
      'disc',
      (_event, other) => this.cidOf(other) === cid && other > start && other < this.drainedAt,
    );
    return ends.length === 0;
  }

  /** Position of the event with which the connection at `at` ends; the end of the history where it does not. */
  endOf(at: number): number {
    const { p } = this.events[at] ?? { p: '' };
    const end = this.events.findIndex((event, other) => other > at && event.p === p && event.e === 'disc');
    return end < 0 ? this.events.length : end;
  }

  without(positions: readonly number[]): HistoryEvent[] {
    const gone = new Set(positions);
    return this.events.filter((_event, at) => !gone.has(at));
  }

  replaced(changes: ReadonlyMap<number, HistoryEvent>): HistoryEvent[] {
    return this.events.map((event, at) => changes.get(at) ?? event);
  }

  /** @param added stand behind the event at `at`, at its time. */
  inserted(at: number, added: readonly HistoryEvent[]): HistoryEvent[] {
    const t = this.events[at]?.t ?? 0n;
    return [
      ...this.events.slice(0, at + 1),
      ...added.map((event) => ({ ...event, t })),
      ...this.events.slice(at + 1),
    ];
  }
}

function isOf<E extends HistoryEvent['e']>(event: HistoryEvent, e: E): event is Of<E> {
  return event.e === e;
}

const covers = (filter: string, topic: string): boolean => matches(parseFilter(filter), topic);

/** Cautious: whether any topic could match both. */
function overlap(a: string, b: string): boolean {
  const [one, two] = [parseFilter(a).levels, parseFilter(b).levels];
  for (let index = 0; ; index++) {
    const [left, right] = [one[index], two[index]];
    if (left === '#' || right === '#') return true;
    if (left === undefined || right === undefined) return left === right;
    if (left !== '+' && right !== '+' && left !== right) return false;
  }
}

/** Live deliveries before the end of the drain whose message is known and no will. */
function live(
  index: HistoryIndex,
): { readonly event: Of<'recv'>; readonly at: number; readonly published: Published }[] {
  return index
    .where('recv', ({ retain }, at) => !retain && at < index.drainedAt)
    .flatMap(({ event, at }) => {
      const published = index.get(event.m);
      return published === undefined ? [] : [{ event, at, published }];
    });
}

const loss: Mutation['places'] = (index) =>
  index.lasting().flatMap((lasting) =>
    index.owed(lasting).map(
      ({ event }) =>
        () =>
          index.without(index.receipts(lasting.cid, event.m)),
    ),
  );

const duplicate: Mutation['places'] = (index) =>
  live(index)
    .filter(({ event, at, published }) => {
      const cid = index.cidOf(at);
      return (
        event.q === 2 &&
        published.event.q === 2 &&
        !index.isShared(cid, event.topic) &&
        !index.isAsPublished(cid, event.topic)
      );
    })
    .flatMap(({ event, at }) => {
      const end = index.endOf(at);
      const [release] = index.where(
        'rel',
        ({ p, pid }, other) => p === event.p && pid === event.pid && other > at && other < end,
      );
      return release === undefined ? [] : [() => index.inserted(release.at, [event, release.event])];
    });

const swap: Mutation['places'] = (index) => {
  const places: (() => HistoryEvent[])[] = [];
  const newest = new Map<string, ReturnType<typeof live>[number]>();
  for (const one of live(index)) {
    const { event, at, published } = one;
    const cid = index.cidOf(at) ?? '';
    if (event.m === null || index.isShared(cid, event.topic)) continue;
    if (index.receipts(cid, event.m).length > 1 || index.cameRetained(cid, event.m)) continue;
    const stream = [
      index.connectOf(at)?.i,
      event.m.pub,
      index.connectOf(published.at)?.i,
      event.topic,
      published.event.q,
      event.q,
    ].join();
    const before = newest.get(stream);
    newest.set(stream, one);
    if (before === undefined || published.at > before.at || event.t - before.event.t > 1000n * MS) continue;
    const changes = new Map<number, HistoryEvent>([
      [at, { ...event, m: before.event.m }],
      [before.at, { ...before.event, m: event.m }],
    ]);
    places.push(() => index.replaced(changes));
  }
  return places;
};

const phantom: Mutation['places'] = (index) =>
  live(index).map(({ event, at }) => () => {
    const { pid: _pid, ...rest } = event;
    const m = { pub: event.m?.pub ?? 0, seq: 1_000_000 };
    return index.inserted(at, [{ ...rest, q: 0, m }]);
  });

const corrupt: Mutation['places'] = (index) =>
  live(index)
    .filter(({ event }) => event.q < 2)
    .map(
      ({ event, at }) =>
        () =>
          index.replaced(new Map([[at, { ...event, m: null, bytesOk: false, fault: 'corrupt' }]])),
    );

const resurrection: Mutation['places'] = (index) =>
  index
    .where('recv', ({ retain, m }, at) => retain && m !== null && at < index.drainedAt)
    .flatMap(({ event, at }) => {
      const cid = index.cidOf(at);
      const asks = index.where(
        'sub!',
        ({ f }, other) => index.cidOf(other) === cid && other < at && covers(f, event.topic),
      );
      const [ask] = asks;
      if (ask === undefined || asks.length > 1 || ask.event.rap === true) return [];
      const values = [...index.published.values()].filter(
        (one) =>
          one.event.retain && one.event.topic === event.topic && one.okAt !== undefined && one.okAt < ask.at,
      );
      const old = values.find(
        (one) => one.event.empty !== true && values.some((other) => other.at > (one.okAt ?? Infinity)),
      );
      return old === undefined ? [] : [() => index.replaced(new Map([[at, { ...event, m: old.event.m }]]))];
    });

/** Connections of a client id before `at`. */
const earlier = (index: HistoryIndex, cid: string, at: number): { event: Of<'conn!'>; at: number }[] =>
  index.where('conn!', (event, other) => event.cid === cid && other < at);

const presentFromNowhere: Mutation['places'] = (index) =>
  index
    .where(
      'conn.',
      ({ rc, present }, at) => rc === 0 && !present && earlier(index, index.cidOf(at) ?? '', at).length === 1,
    )
    .map(
      ({ event, at }) =>
        () =>
          index.replaced(new Map([[at, { ...event, present: true }]])),
    );

const presentDenied: Mutation['places'] = (index) =>
  index
    .where('conn.', ({ rc, present }, at) => {
      const before = earlier(index, index.cidOf(at) ?? '', at);
      const lasts = (event: ConnectEvent): boolean => event.expiry === EXPIRES_NEVER;
      const answered = index.where(
        'conn.',
        (_event, other) => index.cidOf(other) === index.cidOf(at) && other <= at,
      );
      return (
        rc === 0 && present && before.every(({ event }) => lasts(event)) && answered.length === before.length
      );
    })
    .map(
      ({ event, at }) =>
        () =>
          index.replaced(new Map([[at, { ...event, present: false }]])),
    );

const subscriptionLost: Mutation['places'] = (index) =>
  index.lasting().flatMap((lasting) => {
    const [resumed] = index
      .where('conn.', (_event, at) => index.cidOf(at) === lasting.cid && at > lasting.answeredAt)
      .reverse();
    if (resumed === undefined) return [];
    const after = index.owed(lasting).filter(({ at }) => at > resumed.at);
    if (after.length < 2) return [];
    return [() => index.without(after.flatMap(({ event }) => index.receipts(lasting.cid, event.m)))];
  });

/** Deliveries of a will, with the CONNECT that had it. */
const wills = (
  index: HistoryIndex,
): { event: Of<'recv'>; at: number; connect: Of<'conn!'>; connectAt: number }[] =>
  index
    .where('conn!', ({ will }) => will !== undefined)
    .flatMap(({ event: connect, at: connectAt }) =>
      index
        .where(
          'recv',
          ({ m, retain }) =>
            !retain && m !== null && connect.will !== undefined && keyOf(m) === keyOf(connect.will.m),
        )
        .map(({ event, at }) => ({ event, at, connect, connectAt })),
    );

const willTwice: Mutation['places'] = (index) =>
  wills(index)
    .filter(
      ({ event, at }) =>
        event.q === 0 && at < index.drainedAt && !index.isShared(index.cidOf(at), event.topic),
    )
    .map(
      ({ event, at }) =>
        () =>
          index.inserted(at, [event]),
    );

const willMissing: Mutation['places'] = (index) =>
  wills(index)
    .filter(({ event, at, connect, connectAt }) => {
      const watcher = index.connectOf(at);
      const end = index.events[index.endOf(connectAt)];
      const drained = index.events[index.drainedAt];
      const lateNs = BigInt(index.times.willLateMs + LATER_MS) * MS;
      if (watcher === undefined || end === undefined || drained === undefined) return false;
      const watched = index.where(
        'sub.',
        ({ f, rc }, other) => index.cidOf(other) === watcher.cid && rc < 3 && covers(f, event.topic),
      );
      // Who comes back to it later, or leaves, is no witness.
      const [first] = index.where('conn!', ({ cid }) => cid === watcher.cid);
      return (
        connect.will?.delay === 0 &&
        (connect.v === 4 || connect.will.delay === 0) &&
        index.where('fault').length === 0 &&
        drained.t - end.t > lateNs &&
        first?.event === watcher &&
        index.endOf(first.at) > index.drainedAt &&
        watched.length === 1 &&
        (watched[0]?.at ?? Infinity) < connectAt &&
        index.where('unsub!', (_event, other) => index.cidOf(other) === watcher.cid).length === 0 &&
        !index.isShared(watcher.cid, event.topic)
      );
    })
    .map(
      ({ event }) =>
        () =>
          index.events.filter(
            (one) =>
              !(one.e === 'recv' && one.m !== null && event.m !== null && keyOf(one.m) === keyOf(event.m)),
          ),
    );

const overlapping: Mutation['places'] = (index) =>
  index
    .where('disc', ({ by, rc }) => by === 'broker' && rc === 0x8e)
    .flatMap(({ event, at }) => {
      const until = event.t + BigInt(index.times.takeoverMs + LATER_MS) * MS;
      const newer = index
        .where('conn!', ({ cid, p }, other) => cid === index.cidOf(at) && p !== event.p && other < at)
        .at(-1);
      const end = newer === undefined ? undefined : index.events[index.endOf(newer.at)];
      const lastNs = index.events.at(-1)?.t ?? 0n;
      const returns = index.where('conn!', ({ p, t }) => p === event.p && t > event.t && t <= until);
      if (newer === undefined || returns.length > 0 || until > lastNs) return [];
      if (end !== undefined && end.t < until) return [];
      if (index.where('fault').length > 0) return [];
      return [
        () => {
          const rest = index.without([at]);
          const place = rest.findIndex(({ t }) => t > until);
          const moved = { ...event, t: until };
          return place < 0 ? [...rest, moved] : [...rest.slice(0, place), moved, ...rest.slice(place)];
        },
      ];
    });

export const MUTATIONS: readonly Mutation[] = [
  { name: 'a message is lost', check: 'C1', places: loss },
  { name: 'a message nobody published', check: 'C2', places: phantom },
  { name: 'a payload is corrupted', check: 'C2', places: corrupt },
  { name: 'a QoS 2 message comes twice', check: 'C3', places: duplicate },
  { name: 'two messages change places', check: 'C4', places: swap },
  { name: 'a retained value is resurrected', check: 'C7', places: resurrection },
  { name: 'Session Present from nowhere', check: 'C8', places: presentFromNowhere },
  { name: 'Session Present denied', check: 'C8', places: presentDenied },
  { name: 'a subscription is lost', check: 'C8', places: subscriptionLost },
  { name: 'a takeover leaves both', check: 'C9', places: overlapping },
  { name: 'a will comes twice', check: 'C10', places: willTwice },
  { name: 'a will is missing', check: 'C10', places: willMissing },
];
