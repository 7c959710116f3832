/**
 * What is retained, through all lives of this gateway: a RetainedNode for each, what it has to know of peers, and what outlives it.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { RetainedVersion } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import type { Admission } from './admission.js';
import { AHEAD_EVERY_MS, AHEAD_MAX_MS, SWEEP_EVERY_MS } from './limits.js';
import type { LivesOfOthers } from './lives-of-others.js';
import type { NodeParts } from './node-parts.js';
import type { Peers } from './peers.js';
import { RetainedMemory } from './retained-memory.js';
import { RetainedNode } from './retained-node.js';
import { Sources } from './sources.js';

export interface RetainedLivesParts {
  readonly node: NodeParts;
  readonly peers: Peers;
  readonly lives: LivesOfOthers;
  readonly admission: Admission;
  /** From 0 to below 1. */
  readonly random: () => number;
}

export class RetainedLives {
  readonly #parts: RetainedLivesParts;
  readonly #memory: RetainedMemory;
  readonly #sources = new Sources();
  /** undefined: no life has begun. */
  #present: RetainedNode | undefined;
  #imageFloor: number | undefined;
  #sweptAt = 0;
  #aheadAt = 0;

  constructor(parts: RetainedLivesParts) {
    this.#parts = parts;
    this.#memory = new RetainedMemory(parts.node.store, parts.node.bookkeeping);
  }

  /** A life begins. */
  begin(): RetainedNode {
    this.#present = this.#create();
    return this.#present;
  }

  #create(): RetainedNode {
    const { node, peers, lives, admission, random } = this.#parts;
    const { clock, host, limits, local, lineage, bookkeeping } = node;
    const { self } = lineage;
    return new RetainedNode(
      {
        ...{ self, clock, random, host, tombstoneMinAgeMs: limits.tombstoneMinAgeMs },
        head: () => bookkeeping.worthUpTo,
        mayExport: (topic) => local.mayExport(topic),
        mayImport: (topic) => local.mayImport(topic),
        members: () => [...lives.gateways()].filter((id) => !admission.isEvicted(id)),
        rosterVersion: () => Number.parseInt(admission.version.slice(0, 12), 16) || 0,
        coveredOf: (id) => peers.get(id)?.receiver.status.covered ?? 0,
        isCaughtUp: () => this.#isCaughtUp(),
        isToCome: (version) => this.#isToCome(version),
        sourceOf: (origin, epoch) => this.#sources.of(origin, epoch),
        noteHave: (origin, sequence) => {
          // Of one that was never met everything up to its head is passed over when it is.
          if (origin !== self) peers.get(origin)?.receiver.replayForwarded(sequence);
        },
        remember: (image) => this.#memory.remember(image),
      },
      lineage.present,
      this.#memory.image,
    );
  }

  #isCaughtUp(): boolean {
    for (const { isReachable, receiver } of this.#parts.peers)
      if (isReachable && receiver.isCatchingUp) return false;
    return true;
  }

  /** Whether the stream of another gateway is to bring what it retained, unless it is not to be reached for long. */
  #isToCome({ origin, epoch, sequence }: RetainedVersion): boolean {
    const peer = this.#parts.peers.get(origin);
    // Of one that was never met nothing is owed, and what came before the first meeting is not sent.
    if (peer?.receiver.isMet !== true || sequence <= peer.receiver.durable) return false;
    return peer.unreachableForMs <= AHEAD_MAX_MS && this.#parts.lives.mayCome(origin, epoch);
  }

  /** No counter of a version begins below it. */
  get floor(): number {
    // Before the gateway takes part, too, clients publish.
    return this.#present?.floor ?? (this.#imageFloor ??= this.#memory.image?.floor ?? 0);
  }

  /** A message of another gateway, in its stream. @returns where it is in the log here; 0: in none */
  took(message: Message): LogPosition {
    const { local, host } = this.#parts.node;
    if (!local.mayImport(message.topic)) {
      // What is retained goes to everybody, whatever they let in. The rest comes from one that does not keep to what was asked for.
      if (message.retain) this.notRetained(message);
      return 0;
    }
    if (message.retain) message.mayBeRemoved = this.#present?.isSuspect(message) === true;
    return host.publishForwarded(message);
  }

  /** It was delivered and is not in the store: it is not to come again. */
  notRetained(message: Message): void {
    this.#present?.notRetained(message);
  }

  /** Whether the message is still retained its gateway knows best; without a link to it, the others. */
  doubted({ source }: Message): void {
    const { peers } = this.#parts;
    const origin = source && peers.reachable(source.origin);
    if (origin !== undefined) origin.requestRound();
    else for (const one of peers) one.requestRound();
  }

  memberLeft(id: GatewayId): void {
    this.#present?.memberLeft(id);
  }

  /** Some times a second. */
  tick(now: number): void {
    if (now - this.#sweptAt >= SWEEP_EVERY_MS) {
      this.#sweptAt = now;
      this.#present?.sweep();
      this.#memory.record(now);
    }
    if (now - this.#aheadAt >= AHEAD_EVERY_MS) {
      this.#aheadAt = now;
      this.#present?.deliverOverdue();
    }
  }
}
