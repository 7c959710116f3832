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
import type { Message } from '../message/message.js';
import type { SharedGroup, Subscription } from '../routing/subscription.js';
import type { SessionEnvironment } from './environment.js';
import type { SessionRegistry } from './registry.js';
import type { Session } from './session.js';

/** A message whose members of shared subscriptions were not named yet. */
interface Unassigned {
  readonly message: RoutedMessage;
  /** By filter, who they may be: subscriptions as they were when the message was routed. */
  readonly candidates: Map<string, readonly Subscription<Session>[]>;
}

export class Restoration implements DurableSessions {
  readonly #env: SessionEnvironment;
  readonly #registry: SessionRegistry;
  /** By position. */
  readonly #unassigned = new Map<number, Unassigned>();

  constructor(env: SessionEnvironment, registry: SessionRegistry) {
    this.#env = env;
    this.#registry = registry;
  }

  imageOf(clientId: string): SessionImage | undefined {
    const session = this.#registry.get(clientId);
    return session?.stored === true ? session.image : undefined;
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
      case 'assigned':
        this.#replayAssigned(clientId, record.filter, record.position);
        break;
      default:
        session?.replay(record);
    }
  }

  replayMessage(message: Message, packetId: number): void {
    const { router, fanOut } = this.#env;
    const publisher = this.#registry.get(message.publisher);
    if (packetId !== 0) publisher?.inbound.ids.add(packetId);
    if (message.retain) this.replayRetained(message);
    fanOut.replay(message, router.resolve(message.topic), publisher, (group) => this.#wait(message, group));
  }

  unassigned(): UnassignedImage[] {
    return [...this.#unassigned].map(([position, { candidates }]) => ({
      position,
      filters: [...candidates.keys()],
    }));
  }

  restoreUnassigned(message: RoutedMessage, filters: readonly string[]): void {
    for (const group of this.#env.router.resolve(message.topic).groups)
      if (filters.includes(keyOf(group))) this.#wait(message, group);
  }

  #wait(message: RoutedMessage, group: SharedGroup<Session>): void {
    const { topic, qos, retain, position, weight } = message;
    const waiting = this.#unassigned.get(position) ?? {
      message: { topic, qos, retain, position, weight },
      candidates: new Map<string, readonly Subscription<Session>[]>(),
    };
    waiting.candidates.set(keyOf(group), group.members);
    this.#unassigned.set(position, waiting);
  }

  replayRetained(message: Message): void {
    const { retention } = this.#env;
    if (message.payloadLength === 0) retention.delete(message.topic);
    else if (retention.refusalOf(message) === undefined) retention.keep(message);
  }

  restored(): void {
    // The crash came before a member was chosen, or before that was written down.
    for (const { message, candidates } of this.#unassigned.values())
      for (const group of this.#env.router.resolve(message.topic).groups)
        if (candidates.has(keyOf(group))) this.#env.fanOut.replayToGroup(message, group);
    this.#unassigned.clear();
    // An end may publish a will, and take others with it.
    for (const session of [...this.#registry.sessions()]) if (!session.ended) session.restored();
  }

  #replayAssigned(clientId: string, filter: string, position: number): void {
    const waiting = this.#unassigned.get(position);
    const candidates = waiting?.candidates.get(filter);
    if (waiting === undefined || candidates === undefined) return;
    waiting.candidates.delete(filter);
    if (waiting.candidates.size === 0) this.#unassigned.delete(position);
    const member = candidates.find(({ subscriber }) => subscriber.clientId === clientId);
    if (member !== undefined && !member.subscriber.ended)
      this.#env.fanOut.replayShared(waiting.message, member);
  }
}

function keyOf({ name, filter }: SharedGroup<Session>): string {
  return `$share/${name}/${filter}`;
}
