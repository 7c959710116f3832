/** What clients of this gateway publish, on its way to other gateways: which of them get it, and by which lane. */
import type { RemoteTarget } from '../../lib/contracts/mesh-port.js';
import type { Run } from '../../lib/delivery/fan-out.js';
import type { Message } from '../../lib/message/message.js';
import type { EndOfTurn } from './end-of-turn.js';
import type { NodeParts } from './node-parts.js';
import type { Peers } from './peers.js';
import { RUN_MAX_BYTES } from './runs.js';

export class Outgoing {
  readonly #parts: Pick<NodeParts, 'local' | 'remote'>;
  readonly #peers: Peers;
  readonly #turn: EndOfTurn;

  /** @param turn with its end what was handed in leaves */
  constructor(parts: Pick<NodeParts, 'local' | 'remote'>, peers: Peers, turn: EndOfTurn) {
    this.#parts = parts;
    this.#peers = peers;
    this.#turn = turn;
  }

  /** Who wants the topic. */
  targets(topic: string): readonly RemoteTarget[] {
    if (!this.#mayLeave(topic)) return [];
    const targets: RemoteTarget[] = [];
    this.#parts.remote.match(topic, (id, qos) => targets.push({ gateway: id, qos }));
    return targets;
  }

  #mayLeave(topic: string): boolean {
    return !topic.startsWith('$') && this.#parts.local.mayExport(topic);
  }

  /** One that is retained, or removes what is, goes to all, whatever they want. */
  forward(message: Message, targets: readonly RemoteTarget[]): void {
    if (!this.#mayLeave(message.topic)) return;
    this.#turn.soon();
    const isInLog = message.position > 0;
    // A removal is in no log where it found nothing: no comparison would bring it, and subscribers elsewhere get it as those here do.
    if (message.retain && (isInLog || message.payloadLength > 0)) {
      // What is in no log comes with a comparison, alone: it would else come twice.
      for (const peer of this.#peers)
        if (isInLog) peer.sender?.committed(message);
        else peer.requestRound();
      return;
    }
    const isAcknowledged = isInLog && message.qos > 0;
    if (isAcknowledged && targets.length < this.#peers.count) this.#notWanted(message, targets);
    for (const { gateway, qos } of targets) {
      const peer = this.#peers.get(gateway);
      if (peer === undefined) continue;
      if (isAcknowledged) peer.sender?.committed(message, qos);
      else peer.passing.send(message);
    }
  }

  /** Those that do not want it now may come to want it before they have come to it. */
  #notWanted(message: Message, targets: readonly RemoteTarget[]): void {
    for (const { gateway, sender } of this.#peers)
      if (!targets.some((target) => target.gateway === gateway)) sender?.notWanted(message);
  }

  /** Messages of QoS 0 as their publisher sent them; what is larger than a frame goes message by message. */
  forwardRun(run: Run, targets: readonly RemoteTarget[]): void {
    const { bytes, v5, publisher, count } = run;
    this.#turn.soon();
    for (const { gateway } of targets) {
      const peer = this.#peers.get(gateway);
      if (peer === undefined) continue;
      if (bytes.length <= RUN_MAX_BYTES) peer.passing.sendRun(v5, publisher, bytes, count);
      else for (const message of run.messages()) peer.passing.send(message);
    }
  }
}
