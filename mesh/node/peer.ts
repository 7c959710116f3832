/**
 * One other gateway, as this one has to do with it: what it has of our log and we of its, what it wants and what we want, over one link
 * after the other.
 *
 *     apart ── link ──▶ greeting ── its hello ──▶ telling ── its interest ──▶ up
 *       ▲                  │                         │                        │
 *       └──────────────────┴──────── link closed ────┴────────────────────────┘
 *
 * Until its interest is known nothing is sent to it: what it is to have is decided by what it wants now.
 *
 * The file is long because a link is one thing: what comes over it, and what its end means, concerns all that stands on it.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { RemoteTarget } from '../../lib/contracts/mesh-port.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { addresseeOf, type ReceiverGreeting } from '../forward/frames.js';
import { StreamReceiver } from '../forward/stream-receiver.js';
import { StreamSender } from '../forward/stream-sender.js';
import { presentOf } from '../identity/lineage.js';
import {
  type AppliedInterest,
  decodeInterest,
  type InterestImage,
  InterestReceiver,
  InterestSender,
} from '../interest/index.js';
import { Channel, type LinkHandlers, type PeerLink } from '../link/peer-link.js';
import type { RetainedSync } from '../retained/index.js';
import { MalformedFrame } from '../wire/bytes.js';
import { exportedPart } from './exported-part.js';
import { decodeHello, type Hello } from './hello.js';
import { InterestRefusals } from './interest-refusals.js';
import { HELLO_WITHIN_MS } from './limits.js';
import { REPLACED, STALLED } from './link-end.js';
import type { NodeParts } from './node-parts.js';
import { PassingLane } from './passing-lane.js';
import { floorName } from './peer-floors.js';
import { PeerMatcher } from './peer-matcher.js';
import type { RetainedNode } from './retained-node.js';
import { SharedLog } from './shared-log.js';

export type PeerState = 'apart' | 'greeting' | 'telling' | 'up';

/** What a peer tells its node. */
export interface PeerEvents {
  /** Its hello came: `helloCame` is to follow. @returns why the link has to be closed; undefined: all is well */
  greeted(peer: Peer, hello: Hello): string | undefined;
  up(peer: Peer): void;
  apart(peer: Peer, reason: string): void;
  frame(peer: Peer, channel: Channel, frame: Uint8Array): void;
  datagram(peer: Peer, bytes: Uint8Array): void;
  /** @returns where it is in the log here; 0: in none */
  took(message: Message): LogPosition;
  drained(peer: Peer): void;
}

export class Peer implements RemoteTarget {
  readonly gateway: GatewayId;
  /** Which is asked for by whoever has a route to it. */
  readonly qos: QoS = 2;
  readonly receiver: StreamReceiver;
  /** Of the present life of this gateway; undefined: it has not begun. */
  sender: StreamSender | undefined;
  readonly interestOut: InterestSender;
  /** What nobody acknowledges. */
  readonly passing: PassingLane;
  readonly #interestIn: InterestReceiver;
  readonly #parts: NodeParts;
  readonly #events: PeerEvents;
  readonly #clock: Clock;
  #state: PeerState = 'apart';
  #link: PeerLink | undefined;
  #since: number;
  #unreachableSince: number;
  #reason = 'not connected yet';
  #hello: Hello | undefined;
  readonly #shared = new SharedLog();
  #matcher: PeerMatcher | undefined;
  /** On this link, whether or not it was answered. */
  #hasToldInterest = false;
  #sync: RetainedSync | undefined;
  #isStalled = false;
  readonly #refusals: InterestRefusals;

  constructor(gateway: GatewayId, parts: NodeParts, events: PeerEvents) {
    this.gateway = gateway;
    this.#parts = parts;
    this.#events = events;
    this.#clock = parts.clock;
    this.#since = parts.clock.now();
    this.#unreachableSince = this.#since;
    const { store, remote, local, limits, bookkeeping, texts } = parts;
    const refusals = new InterestRefusals(gateway, parts.logger);
    this.#refusals = refusals;
    this.passing = new PassingLane(parts);
    this.receiver = new StreamReceiver(
      gateway,
      {
        now: () => parts.clock.now(),
        send: (frame) => void this.#send(Channel.forward, frame),
        hasRoom: () => parts.host.hasRoom(),
        append: (message) => events.took(message),
        record: (record) => bookkeeping.recorded(store.recordStream(record)),
        reportHole: (_origin, from, to) => this.#hole(from, to),
      },
      limits.forward,
      texts,
    );
    this.interestOut = new InterestSender(local, {
      send: (frame) => this.#send(Channel.interest, frame),
      covered: () => this.#coveredAsToldWithInterest(),
      acknowledged: (version) => {
        refusals.takenThere();
        parts.gate.acknowledged(gateway, version);
      },
      refused: (_version, verdict) => {
        refusals.refusedThere(verdict);
        parts.gate.peerGone(gateway);
      },
    });
    this.#interestIn = new InterestReceiver(gateway, remote, {
      head: () => store.committed,
      send: (frame) => void this.#send(Channel.interest, frame),
      applied: (update) => this.#interestApplied(update),
      refused: (verdict) => refusals.refusedHere(verdict),
    });
  }

  /** A life of this gateway begins; there is no link. */
  begin(retained: RetainedNode): void {
    this.#sync = retained.createSync(this.gateway, (frame) => this.#send(Channel.retained, frame));
    const { store, local, limits, lineage, clock } = this.#parts;
    const { gateway } = this;
    // What it has of this log is not known before it says so. Floors are durable with a checkpoint only, and that is enough: they only rise, so that
    // an older one keeps more, and nothing is dropped without a checkpoint.
    // One that was never met, of which only messages came by others, waits for nothing.
    if (this.receiver.image !== undefined) this.#holdAll();
    this.sender = new StreamSender(
      {
        now: () => clock.now(),
        send: (frame) => this.#send(Channel.forward, frame),
        readOwn: (from, maxBytes, done) =>
          store.readOwn(from, maxBytes, (own) => done(exportedPart(own, local))),
        setFloor: (position) => store.setFloor(floorName(gateway), position),
        pass: (message) => this.passing.send(message),
        stalled: () => this.#stall(),
      },
      {
        ...limits.forward,
        ...{ head: store.committed, lineage: lineage.known, bytesPerSecond: limits.linkMaxBytesPerSecond },
      },
    );
  }

  #holdAll(): void {
    const { store } = this.#parts;
    const name = floorName(this.gateway);
    if (!store.floors.has(name)) store.setFloor(name, 0);
  }

  /** It had work and made no progress: the link is made anew, and until it is up again this is what is to be seen. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  #stall(): void {
    this.#isStalled = true;
    this.#parts.logger.warn('a link is stalled and is made anew', { gateway: this.gateway });
    this.close(STALLED);
  }

  /** The link is there, and stands still until one of the two gateways wants less. */
  get isRefused(): boolean {
    return this.#state === 'telling' && this.#refusals.isHere;
  }

  /** What is wrong with a link that is there, for people; undefined: nothing is. */
  get trouble(): string | undefined {
    return this.#refusals.textOf(this.isRefused);
  }

  get state(): PeerState {
    return this.#state;
  }

  get link(): PeerLink | undefined {
    return this.#link;
  }

  /** A link of its own, past hello. */
  get direct(): PeerLink | undefined {
    return this.isReachable && this.#link?.path !== 'relayed' ? this.#link : undefined;
  }

  /** Why it is in its state. */
  get reason(): string {
    return this.#reason;
  }

  get hello(): Hello | undefined {
    return this.#hello;
  }

  /** Which interest of the peer is known here, for our hello. */
  get interestImage(): InterestImage | undefined {
    return this.#interestIn.image;
  }

  get isReachable(): boolean {
    return this.#state === 'telling' || this.#state === 'up';
  }

  /** 0: it is reachable. */
  get unreachableForMs(): number {
    return this.isReachable ? 0 : this.#clock.now() - this.#unreachableSince;
  }

  // Links.

  /** A new link takes the place of any older one. @param hello ours to it */
  linkUp(link: PeerLink, hello: (greeting: ReceiverGreeting) => Uint8Array): void {
    if (this.#link !== undefined) {
      const { handlers } = this.#link;
      if (handlers !== undefined) this.#link.handlers = undefined;
      this.#link.close(REPLACED);
      this.#apart(REPLACED);
    }
    this.#link = link;
    this.#enter('greeting', `by ${link.path} with ${link.remoteAddress}`);
    link.handlers = this.#handlersOf(link);
    link.send(Channel.hello, hello(this.receiver.greet()));
  }

  #handlersOf(link: PeerLink): LinkHandlers {
    const ours = (run: () => void): void => {
      if (this.#link === link) run();
    };
    return {
      onFrame: (channel, frame) => ours(() => this.#onFrame(channel, frame)),
      onDatagram: (bytes) => ours(() => this.isReachable && this.#events.datagram(this, bytes)),
      onDrain: () => ours(() => this.#onDrain()),
      onClose: (reason) =>
        ours(() => {
          this.#link = undefined;
          this.#apart(reason);
        }),
    };
  }

  close(reason: string): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    link.handlers = undefined;
    link.close(reason);
    this.#apart(reason);
  }

  #apart(reason: string): void {
    const wasReachable = this.isReachable;
    if (wasReachable) this.#unreachableSince = this.#clock.now();
    this.#enter('apart', reason);
    this.receiver.linkDown();
    this.sender?.linkDown();
    this.interestOut.stop();
    this.#sync?.stop();
    this.#interestIn.unlinked();
    this.#refusals.linkDown();
    this.#parts.gate.peerGone(this.gateway);
    this.passing.linkDown();
    if (wasReachable) this.#events.apart(this, reason);
  }

  #enter(state: PeerState, reason: string): void {
    this.#state = state;
    this.#reason = reason;
    if (state === 'up') this.#isStalled = false;
    this.#since = this.#clock.now();
  }

  #onFrame(channel: Channel, frame: Uint8Array): void {
    try {
      const refusal = this.#take(channel, frame);
      if (refusal !== undefined) this.close(refusal);
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.close(`it sent what cannot be read: ${error.message}`);
    }
  }

  #take(channel: Channel, frame: Uint8Array): string | undefined {
    if (channel === Channel.hello)
      return this.#state === 'greeting' ? this.#events.greeted(this, decodeHello(frame)) : 'a second hello';
    if (!this.isReachable) return 'it did not say who it is first';
    switch (channel) {
      case Channel.interest: {
        const update = decodeInterest(frame);
        if (update.kind === 'answer') this.interestOut.answered(update);
        else {
          this.#shared.told(update.since);
          this.#interestIn.updated(update);
        }
        return undefined;
      }
      case Channel.forward:
        return addresseeOf(frame) === 'sender' ? this.sender?.onFrame(frame) : this.receiver.onFrame(frame);
      case Channel.passing:
        return this.passing.onFrame(frame);
      case Channel.retained:
        this.#sync?.received(frame);
        return undefined;
      case Channel.runs:
        return this.passing.onRun(frame);
      default:
        this.#events.frame(this, channel, frame);
        return undefined;
    }
  }

  /** Its first frame. @param rolledBackTo where the log here was put back to, of what the peer has; undefined: it was not */
  helloCame(hello: Hello, rolledBackTo: LogPosition | undefined): void {
    this.#holdAll();
    this.#hello = hello;
    this.receiver.linkBegan(hello.head);
    this.#shared.linkBegan(rolledBackTo);
    const { counter, nonce } = presentOf(hello.lineage);
    if (this.#link !== undefined)
      this.passing.linkUp(this.#link, { origin: this.gateway, epoch: { counter, nonce } });
    this.#enter('telling', 'it has not said yet what it wants');
    this.#parts.gate.peerReached(this.gateway, -1);
    this.#hasToldInterest = false;
    this.interestOut.start(hello.interest);
    this.#sync?.start();
  }

  #onDrain(): void {
    if (!this.isReachable) return;
    this.interestOut.drained();
    this.sender?.drained();
    this.#sync?.drained();
    this.#events.drained(this);
  }

  #send(channel: Channel, frame: Uint8Array): boolean {
    return this.#link?.send(channel, frame) ?? true;
  }

  // Interest.

  /** Where a grown interest is to begin in the peer's log. The first one of a link begins where everything does. */
  #coveredAsToldWithInterest(): LogPosition {
    const { local } = this.#parts;
    const { covered } = this.receiver.status;
    const isFirst = !this.#hasToldInterest;
    this.#hasToldInterest = true;
    if (isFirst) return covered;
    return this.receiver.interestGrows(local.version) ?? covered;
  }

  #interestApplied({ version, since, grown }: AppliedInterest): void {
    const { remote } = this.#parts;
    this.#refusals.takenHere();
    const before = this.#matcher;
    before?.supersededBy(remote.matcherWithout(this.gateway, new Set(grown.map(([filter]) => filter))));
    const matcher = new PeerMatcher(this.#interestIn.matcher);
    this.#matcher = matcher;
    if (this.#state === 'up') {
      this.sender?.interestChanged(version, matcher.match, since);
      return;
    }
    const greeting = this.#hello?.greeting;
    if (greeting === undefined) return;
    this.#enter(
      'up',
      this.#link === undefined ? '' : `by ${this.#link.path} with ${this.#link.remoteAddress}`,
    );
    this.sender?.linkUp(
      greeting,
      { version, matcher: matcher.match },
      this.#shared.upTo(greeting.covered ?? 0),
    );
    this.#events.up(this);
  }

  /** It is no member any more. */
  forget(): void {
    this.close('it is no member any more');
    this.#interestIn.forget();
  }

  // Messages.

  /** Something is retained here that is in no log. */
  requestRound(): void {
    this.#sync?.requestRound();
  }

  flush(): void {
    if (this.#state === 'up') this.sender?.flush();
    this.passing.flush();
  }

  /** @param isOfOthers only says how much of other logs is here */
  committed(position: LogPosition, isOfOthers: boolean): void {
    this.receiver.committed(position);
    this.sender?.headMoved(position, isOfOthers);
  }

  tick(now: number): void {
    if (this.#state === 'greeting' && now - this.#since > HELLO_WITHIN_MS)
      this.close('it did not say who it is in time');
    const refusal = this.receiver.tick();
    if (refusal !== undefined) this.close(refusal);
    this.sender?.tick(now);
    if (this.isReachable) this.#sync?.tick(now);
  }

  #hole(from: LogPosition, to: LogPosition): void {
    this.#parts.logger.error('messages of another gateway are lost', {
      gateway: this.gateway,
      ...{ from, to, reason: 'its log does not have them any more' },
    });
  }
}
