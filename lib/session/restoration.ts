/**
 * The durable sessions of a gateway as its store sees them: written down now and then, and made again after a restart from what
 * was written and from the log since.
 *
 *     restoreSession ... ─▶ replayStep, replayMessage, replayRetained ... ─▶ restored ─▶ the first connection
 *
 * A replay does to the sessions what happened to them, without an answer to anybody: no packet, no hook, no counter. A record may
 * be replayed whose effect is there already, so each step puts things where they belong instead of moving them.
 */
import type {
  DurableSessions,
  RoutedMessage,
  SessionImage,
  SessionRecord,
  UnassignedImage,
} from '../contracts/store.js';
import { compareNewness } from '../ingest/retained-version.js';
import type { Message } from '../message/message.js';
import type { SharedGroup, Subscription } from '../routing/subscription.js';
import type { SessionEnvironment } from './environment.js';
import type { SessionRegistry } from './registry.js';
import type { Session } from './session.js';

/** Who a message of a shared subscription may be for: its members as they were when the message was routed. */
class Candidates {
  readonly filter: string;
  readonly members: readonly Subscription<Session>[];
  #byId: Map<string, Subscription<Session>> | undefined;

  constructor({ sharedFilter, members }: SharedGroup<Session>) {
    this.filter = sharedFilter;
    this.members = members;
  }

  member(clientId: string): Subscription<Session> | undefined {
    this.#byId ??= new Map(this.members.map((member) => [member.subscriber.clientId, member]));
    return this.#byId.get(clientId);
  }

  /** The subscription that the same session had then, where a message could wait for it. */
  asItWas({ subscriber }: Subscription<Session>): Subscription<Session> | undefined {
    const member = this.member(subscriber.clientId);
    return member?.subscriber === subscriber && member.options.qos > 0 ? member : undefined;
  }
}

/** A message whose members of shared subscriptions were not named yet. */
interface Unassigned {
  readonly message: RoutedMessage;
  readonly groups: Candidates[];
}

export class Restoration implements DurableSessions {
  readonly #env: SessionEnvironment;
  readonly #registry: SessionRegistry;
  /** By position. */
  readonly #unassigned = new Map<number, Unassigned>();
  /** Message after message has the same. */
  readonly #candidates = new Map<SharedGroup<Session>, Candidates>();

  constructor(env: SessionEnvironment, registry: SessionRegistry) {
    this.#env = env;
    this.#registry = registry;
  }

  imageOf(clientId: string): SessionImage | undefined {
    return this.#registry.stored(clientId)?.image;
  }

  forEachBusy(visit: (clientId: string) => void): void {
    for (const { stored, outbound, clientId } of this.#registry.sessions())
      if (stored && outbound.inFlightCount > 0) visit(clientId);
  }

  restoreSession(image: SessionImage): void {
    this.#registry.restore(image);
  }

  replayStep(record: SessionRecord): void {
    const { clientId } = record;
    if (record.kind === 'assigned') {
      this.#replayAssigned(clientId, record.filter, record.position);
      return;
    }
    const session = this.#registry.get(clientId);
    switch (record.kind) {
      case 'created':
        session?.forget();
        this.#registry.restore({
          clientId,
          username: record.username,
          expiryS: record.expiryS,
          parkedAt: undefined,
          will: record.will,
          subscriptions: [],
          inbound: [],
          inFlight: [],
          burned: [],
          owed: [],
        });
        break;
      case 'ended':
        session?.forget();
        break;
      default:
        session?.replay(record);
    }
  }

  replayMessage(message: Message, packetId: number): void {
    const { router, fanOut } = this.#env;
    // A client of another gateway may have the name of one here.
    const publisher = message.source === undefined ? this.#registry.get(message.publisher) : undefined;
    if (packetId !== 0) publisher?.inbound.ids.add(packetId);
    if (message.retain && !this.#retainAgain(message)) return;
    const { topic, topicBytes } = message;
    const route = router.find(topicBytes, 2, topicBytes.length) ?? router.resolve(topic);
    fanOut.replay(message, route, publisher, (group) => this.#wait(message, group));
  }

  unassigned(): UnassignedImage[] {
    return [...this.#unassigned].map(([position, { groups }]) => ({
      position,
      filters: groups.map(({ filter }) => filter),
    }));
  }

  restoreUnassigned(message: RoutedMessage, filters: readonly string[]): void {
    for (const group of this.#env.router.resolve(message.topic).groups)
      if (filters.includes(group.sharedFilter)) this.#wait(message, group);
  }

  #wait(message: RoutedMessage, group: SharedGroup<Session>): void {
    const { topic, qos, retain, position, weight } = message;
    const waiting = this.#unassigned.get(position);
    const candidates = this.#candidatesOf(group);
    if (waiting !== undefined) waiting.groups.push(candidates);
    else
      this.#unassigned.set(position, {
        message: { topic, qos, retain, position, weight },
        groups: [candidates],
      });
  }

  replayRetained(message: Message): void {
    this.#retainAgain(message);
  }

  /** @returns whether subscribers had it: of another gateway not behind a newer one that they had, see Ingest */
  #retainAgain(message: Message): boolean {
    const { retention, mesh } = this.#env;
    const newest = mesh === undefined ? undefined : retention.newestOf(message.topic);
    if (mesh !== undefined && newest !== undefined) {
      const order = compareNewness(message, newest, mesh);
      if (order < 0) return message.source === undefined || newest.aheadOfStream;
      // Its stream had brought it before, and subscribers have it.
      if (order === 0 && message.aheadOfStream) return false;
    }
    if (message.mayBeRemoved && newest === undefined) {
      retention.doubt(message);
      return true;
    }
    const doubtful = mesh === undefined ? undefined : this.#env.store.retained.doubtful(message.topic);
    const isDelivered =
      message.aheadOfStream &&
      mesh !== undefined &&
      doubtful !== undefined &&
      compareNewness(message, doubtful, mesh) === 0;
    if (isDelivered) message.aheadOfStream = false;
    message.mayBeRemoved = false;
    this.#keepOrClear(message);
    return !isDelivered;
  }

  #keepOrClear(message: Message): void {
    const { retention } = this.#env;
    if (message.payloadLength === 0) retention.clear(message);
    else retention.keepAgain(message);
  }

  restored(): void {
    this.#env.retention.tellOfExcess();
    // The crash came before a member was chosen, or before that was written down.
    for (const { message, groups } of this.#unassigned.values())
      for (const group of this.#env.router.resolve(message.topic).groups) {
        const candidates = groups.find(({ filter }) => filter === group.sharedFilter);
        if (candidates !== undefined)
          this.#env.fanOut.replayToGroup(message, group, (member) => candidates.asItWas(member));
      }
    this.#unassigned.clear();
    this.#candidates.clear();
    // An end may publish a will, and take others with it.
    for (const session of [...this.#registry.sessions()]) if (!session.ended) session.restored();
  }

  #candidatesOf(group: SharedGroup<Session>): Candidates {
    const known = this.#candidates.get(group);
    if (known?.members === group.members) return known;
    const candidates = new Candidates(group);
    this.#candidates.set(group, candidates);
    return candidates;
  }

  #replayAssigned(clientId: string, filter: string, position: number): void {
    const waiting = this.#unassigned.get(position);
    const at = waiting?.groups.findIndex((group) => group.filter === filter) ?? -1;
    const candidates = waiting?.groups[at];
    if (waiting === undefined || candidates === undefined) return;
    if (waiting.groups.length === 1) this.#unassigned.delete(position);
    else waiting.groups.splice(at, 1);
    const member = candidates.member(clientId);
    if (member !== undefined && !member.subscriber.ended)
      this.#env.fanOut.replayShared(waiting.message, member);
  }
}
