/**
 * Messages of QoS 0 to one other gateway, and from it: each goes over the link that is there, or is dropped and counted. One for each peer;
 * what counts begins anew with no link.
 */
import type { MessageSource } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { type PassingCounts, PassingReceiver, PassingSender } from '../forward/passing.js';
import { Channel, type PeerLink } from '../link/peer-link.js';
import type { NodeParts } from './node-parts.js';
import { decodeRun, encodeRun } from './runs.js';

/** What became of messages of QoS 0. */
export interface PassedCounts {
  sent: number;
  /** Too much waited on the link. */
  slowLink: number;
  linkDown: number;
  expired: number;
  tooLarge: number;
}

/** Of one link, on which both have said who they are. */
interface Way {
  readonly link: PeerLink;
  readonly sender: PassingSender;
  readonly receiver: PassingReceiver;
}

type PassingParts = Pick<NodeParts, 'clock' | 'host' | 'limits' | 'local' | 'texts'>;

export class PassingLane {
  readonly #parts: PassingParts;
  /** undefined: there is no link. */
  #way: Way | undefined;
  /** Over all links before this one. */
  #passed: PassedCounts = { sent: 0, slowLink: 0, linkDown: 0, expired: 0, tooLarge: 0 };
  #receivedCount = 0;
  /** One function for all runs. */
  readonly #mayImport: (topic: string) => boolean;

  constructor(parts: PassingParts) {
    this.#parts = parts;
    this.#mayImport = (topic) => parts.local.mayImport(topic);
  }

  /** That were sent, or not. They only rise. */
  get counts(): Readonly<PassedCounts> {
    return sum(this.#passed, this.#way?.sender.counts);
  }

  /** That came, whether or not they were let in. It only rises. */
  get receivedCount(): number {
    return this.#receivedCount;
  }

  /** @param source the peer in its present life */
  linkUp(link: PeerLink, source: MessageSource): void {
    const { clock, host, local, texts } = this.#parts;
    const now = (): number => clock.now();
    const deliver = (message: Message): void => {
      this.#receivedCount++;
      if (local.mayImport(message.topic)) host.publishPassing(message);
    };
    this.#way = {
      link,
      sender: new PassingSender({
        ...{ now, send: (frame) => void link.send(Channel.passing, frame) },
        queuedBytes: () => link.queuedBytes,
      }),
      receiver: new PassingReceiver(source, deliver, now, texts),
    };
  }

  linkDown(): void {
    this.#passed = sum(this.#passed, this.#way?.sender.counts);
    this.#way = undefined;
  }

  /** One that nobody acknowledges. */
  send(message: Message): void {
    if (this.#way === undefined) this.#passed.linkDown++;
    else this.#way.sender.send(message);
  }

  /** @param frames as their publisher sent them: `count` messages */
  sendRun(v5: boolean, publisher: string, frames: Uint8Array, count: number): void {
    if (this.#way === undefined) {
      this.#passed.linkDown += count;
      return;
    }
    const { link, sender } = this.#way;
    if (link.queuedBytes > this.#parts.limits.maxQueuedPassingBytes) {
      this.#passed.slowLink += count;
      return;
    }
    // What came before it leaves before it.
    sender.flush();
    sender.counts.sent += count;
    link.send(Channel.runs, encodeRun(v5, publisher, frames));
  }

  /** The turn is over. */
  flush(): void {
    this.#way?.sender.flush();
  }

  /** Of the channel `passing`. @returns why the link has to be closed; undefined: all is well */
  onFrame(frame: Uint8Array): string | undefined {
    return this.#way?.receiver.onFrame(frame);
  }

  /** Of the channel `runs`. @throws MalformedFrame @returns as `onFrame` */
  onRun(frame: Uint8Array): string | undefined {
    const { v5, publisher, frames } = decodeRun(frame);
    const count = this.#parts.host.publishRun(frames, v5, publisher, this.#mayImport);
    this.#receivedCount += count;
    return count > 0 ? undefined : 'it sent messages that are none';
  }
}

function sum(counts: PassedCounts, onLink: PassingCounts | undefined): PassedCounts {
  if (onLink === undefined) return counts;
  const { sent, dropped, expired, tooLarge } = onLink;
  return {
    sent: counts.sent + sent,
    slowLink: counts.slowLink + dropped,
    linkDown: counts.linkDown,
    expired: counts.expired + expired,
    tooLarge: counts.tooLarge + tooLarge,
  };
}
