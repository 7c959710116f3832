/**
 * One gateway of a mesh, without sockets and timers of its own: the lanes and the store on one side, links to other gateways on the
 * other. Real ones are put to it by MeshService, simulated ones by test/sim/mesh.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import type { EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MeshHost, MeshPort, RemoteTarget } from '../../lib/contracts/mesh-port.js';
import type { LogPosition, Store } from '../../lib/contracts/store.js';
import type { DurableStreams, MessageSource, StreamImage, StreamRecord } from '../../lib/contracts/streams.js';
import type { Run } from '../../lib/delivery/fan-out.js';
import type { Message } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/packet.js';
import type { ReceiverGreeting } from '../forward/frames.js';
import { LocalInterest, RemoteInterest, SubackGate } from '../interest/index.js';
import type { Channel, PeerLink } from '../link/peer-link.js';
import { encodeHello, HELLO_VERSION, type Hello } from './hello.js';
import { SUBACK_HOLD_MS } from './limits.js';
import type { NodeLimits, NodeParts } from './node-parts.js';
import { OwnLineage } from './own-lineage.js';
import { Peer, type PeerEvents } from './peer.js';
import { RUN_MAX_BYTES } from './runs.js';

export interface MeshNodeOptions {
  readonly self: GatewayId;
  readonly site: string;
  readonly software: string;
  /** Of earlier processes. */
  readonly lineage: Lineage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly host: MeshHost;
  /** Calls back once, after everything that is already in the current turn. */
  readonly schedule: (run: () => void) => void;
  readonly limits: NodeLimits;
  readonly importFilters: readonly string[];
  readonly exportFilters: readonly string[];
  /** `host:port` at which others may reach it. */
  readonly addresses: () => readonly string[];
}

export class MeshNode implements MeshPort, DurableStreams, PeerEvents {
  onRemoteChange: ((filter: string) => void) | undefined;
  readonly self: GatewayId;
  readonly #options: MeshNodeOptions;
  readonly #parts: NodeParts;
  readonly #local: LocalInterest;
  readonly #peers = new Map<GatewayId, Peer>();
  /** SUBACKs of this turn. */
  #answers: (() => void)[] = [];
  #isScheduled = false;
  #isOver = false;

  constructor(options: MeshNodeOptions) {
    this.self = options.self;
    this.#options = options;
    const { importFilters, exportFilters, lineage, self, clock, logger, store, host, limits } = options;
    this.#local = new LocalInterest({ life: 0, importFilters, exportFilters });
    this.#parts = {
      ...{ clock, logger, store, host, limits, local: this.#local },
      remote: new RemoteInterest((filter) => this.onRemoteChange?.(filter)),
      gate: new SubackGate(SUBACK_HOLD_MS),
      lineage: new OwnLineage(self, lineage),
    };
  }

  // Life.

  /** The epoch of this process is durable and the store open: links may come. */
  begin(epoch: EpochStart): void {
    this.#parts.lineage.begin(epoch);
    this.#local.life = Number.parseInt(epoch.nonce.slice(0, 12), 16);
  }

  /** Some twenty times a second. */
  tick(): void {
    const now = this.#options.clock.now();
    this.#parts.gate.tick(now);
    for (const peer of this.#peers.values()) peer.tick(now);
  }

  /** Every link is closed, and none is taken any more. */
  end(reason: string): void {
    this.#isOver = true;
    for (const peer of this.#peers.values()) peer.close(reason);
  }

  get peers(): Iterable<Peer> {
    return this.#peers.values();
  }

  linkUp(link: PeerLink): void {
    if (this.#isOver || link.peer === this.self) {
      link.close(this.#isOver ? 'this gateway has left the mesh' : 'this is the same gateway');
      return;
    }
    const peer = this.#peerOf(link.peer);
    peer.linkUp(link, (greeting) => this.#hello(peer, greeting));
  }

  #peerOf(id: GatewayId): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      peer = new Peer(id, this.#parts, this);
      this.#peers.set(id, peer);
    }
    return peer;
  }

  #hello(peer: Peer, greeting: ReceiverGreeting): Uint8Array {
    const { site, software, addresses, store } = this.#options;
    return encodeHello({
      version: HELLO_VERSION,
      ...{ software, site, addresses: addresses(), greeting },
      lineage: this.#parts.lineage.all,
      head: store.committed,
      knownEpoch: peer.receiver.image?.epoch,
      interest: peer.interestImage,
      roster: new Uint8Array(0),
    });
  }

  // What peers tell.

  greeted(peer: Peer, hello: Hello): string | undefined {
    peer.helloCame(hello, undefined);
    return undefined;
  }

  up(_peer: Peer): void {
    this.#flushSoon();
  }

  apart(_peer: Peer, _reason: string): void {}

  frame(_peer: Peer, _channel: Channel, _frame: Uint8Array): void {}

  datagram(_peer: Peer, _bytes: Uint8Array): void {}

  // What the store asks and tells.

  *images(): Iterable<StreamImage> {
    for (const { receiver } of this.#peers.values()) {
      const { image } = receiver;
      if (image !== undefined) yield image;
    }
  }

  restoreStream(image: StreamImage): void {
    this.#peerOf(image.origin).receiver.restore(image);
  }

  replayStream(record: StreamRecord): void {
    this.#peerOf(record.origin).receiver.replay(record);
  }

  replayForwarded({ origin }: MessageSource, sequence: LogPosition): void {
    this.#peerOf(origin).receiver.replayForwarded(sequence);
  }

  // What the lanes ask and tell.

  sourceAt(position: LogPosition): MessageSource {
    return this.#parts.lineage.sourceAt(position);
  }

  subscribed(filter: string, qos: QoS): void {
    this.#local.add(filter, qos);
    this.#flushSoon();
  }

  unsubscribed(filter: string, qos: QoS): void {
    this.#local.remove(filter, qos);
    this.#flushSoon();
  }

  whenKnown(answer: () => void): void {
    this.#answers.push(answer);
    this.#flushSoon();
  }

  targets(topic: string): readonly RemoteTarget[] {
    if (topic.startsWith('$') || !this.#local.mayExport(topic)) return [];
    const targets: RemoteTarget[] = [];
    this.#parts.remote.match(topic, (id, qos) => targets.push({ gateway: id, qos }));
    return targets;
  }

  forward(message: Message, targets: readonly RemoteTarget[]): void {
    if (message.topic.startsWith('$') || !this.#local.mayExport(message.topic)) return;
    this.#flushSoon();
    const isAcknowledged = message.position > 0 && (message.qos > 0 || message.retain);
    if (isAcknowledged && message.retain) {
      for (const peer of this.#peers.values()) peer.sender.committed(message);
      return;
    }
    for (const { gateway, qos } of targets) {
      const peer = this.#peers.get(gateway);
      if (peer === undefined) continue;
      if (isAcknowledged) peer.sender.committed(message, qos);
      else peer.pass(message);
    }
  }

  forwardRun(run: Run, _topicBytes: Uint8Array, targets: readonly RemoteTarget[]): void {
    const { bytes, v5, publisher, count } = run;
    this.#flushSoon();
    for (const { gateway } of targets) {
      const peer = this.#peers.get(gateway);
      if (peer === undefined) continue;
      if (bytes.length <= RUN_MAX_BYTES) peer.passRun(v5, publisher, bytes, count);
      else for (const message of run.messages()) peer.pass(message);
    }
  }

  committed(position: LogPosition): void {
    for (const peer of this.#peers.values()) peer.committed(position);
    this.#flushSoon();
  }

  // The end of a turn.

  #flushSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.schedule(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    const now = this.#options.clock.now();
    if (this.#local.flush()) for (const { interestOut } of this.#peers.values()) interestOut.changed();
    const answers = this.#answers;
    this.#answers = [];
    for (const answer of answers) this.#parts.gate.hold(this.#local.version, now, answer);
    for (const peer of this.#peers.values()) peer.flush();
  }
}
