/** What was asked of gateways that archive for this one and is not answered yet, and the bodies that they pull for it. */
import type { TimerHandle, Timers } from '../../../lib/contracts/clock.js';
import { type GatewayId, shortId } from '../../../lib/contracts/gateway-id.js';
import type { LinkedGateway } from '../../../lib/contracts/peer-channel.js';
import { ANSWER_WITHIN_MS, PULLED_MAX_BYTES } from './limits.js';
import {
  type BodyReader,
  faultAnswerOf,
  interrupted,
  type ObjectAnswer,
  type ObjectRequest,
} from './object-request.js';
import { answerOf, encodeFrame, encodeRequest, type RelayFrame } from './relay-frames.js';

export interface RequestPorts {
  readonly timers: Timers;
  /** Bytes that a frame may carry. */
  readonly frameMaxBytes: number;
  /** See PeerChannel.send. */
  send(to: GatewayId, frame: Uint8Array): boolean;
}

interface Pending {
  /** A link that is a new one has another of these. */
  readonly to: LinkedGateway;
  readonly request: ObjectRequest;
  readonly read: BodyReader;
  readonly resolve: (answer: ObjectAnswer) => void;
  patience: TimerHandle;
  /** Bytes that were asked for and have not gone. */
  pulledBytes: number;
  /** Pieces go in the order in which they were asked for. */
  sending: Promise<void>;
}

export class PendingRequests {
  readonly #ports: RequestPorts;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  constructor(ports: RequestPorts) {
    this.#ports = ports;
  }

  /** Never rejects. @param read the body of what is to be created */
  ask(to: LinkedGateway, request: ObjectRequest, read: BodyReader): Promise<ObjectAnswer> {
    this.#lastId = (this.#lastId + 1) >>> 0;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const pending = { to, request, read, resolve, pulledBytes: 0, sending: Promise.resolve() };
      this.#pending.set(id, { ...pending, patience: this.#patience(id) });
      if (!this.#ports.send(to.id, encodeRequest(id, request)))
        this.#interrupt(id, `there is no link to ${nameOf(to)}`);
    });
  }

  /** The link is gone. */
  unlinked(to: LinkedGateway): void {
    for (const [id, pending] of this.#pending)
      if (pending.to === to) this.#interrupt(id, `the link to ${nameOf(to)} broke`);
  }

  /** @returns why nobody should have sent it; undefined: all is well */
  received(from: LinkedGateway, frame: RelayFrame): string | undefined {
    if (frame.kind === 'pull') return this.#pulled(from, frame);
    const answer = answerOf(frame);
    // What was given up is answered late.
    if (answer === undefined || this.#pending.get(frame.id)?.to !== from) return undefined;
    // A path in it is none of this machine.
    const said = answer.kind === 'fault' ? { ...answer, text: `${nameOf(from)}: ${answer.text}` } : answer;
    this.#take(frame.id)?.resolve(said);
    return undefined;
  }

  #patience(id: number): TimerHandle {
    return this.#ports.timers.after(ANSWER_WITHIN_MS, () =>
      this.#interrupt(id, `nothing was heard of it for ${ANSWER_WITHIN_MS / 1000} s`),
    );
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.patience.cancel();
    return pending;
  }

  #interrupt(id: number, reason: string): void {
    const pending = this.#take(id);
    pending?.resolve(interrupted(pending.request, reason));
  }

  #pulled(from: LinkedGateway, { id, numbers }: RelayFrame): string | undefined {
    const [offset = 0, length = 0] = numbers;
    const pending = this.#pending.get(id);
    if (pending?.to !== from) {
      this.#ports.send(from.id, encodeFrame('noPart', id, [], 'nobody creates it any more'));
      return undefined;
    }
    const { request } = pending;
    const end = request.kind === 'create' ? request.length : 0;
    if (length === 0 || offset + length > end || pending.pulledBytes + length > PULLED_MAX_BYTES)
      return `it asked for ${length} bytes at ${offset} of an object of ${end}`;
    pending.pulledBytes += length;
    pending.patience.cancel();
    pending.patience = this.#patience(id);
    pending.sending = pending.sending.then(() => this.#sendParts(id, pending, offset, length));
    return undefined;
  }

  async #sendParts(id: number, pending: Pending, offset: number, length: number): Promise<void> {
    const { to, read } = pending;
    const { frameMaxBytes, send } = this.#ports;
    try {
      for (let done = 0; done < length;) {
        if (this.#pending.get(id) !== pending) return;
        const bytes = await read(offset + done, Math.min(frameMaxBytes, length - done));
        if (this.#pending.get(id) !== pending) return;
        if (!send(to.id, encodeFrame('part', id, [offset + done], bytes)))
          return this.#interrupt(id, `too much waits for ${nameOf(to)}`);
        done += bytes.length;
        pending.pulledBytes -= bytes.length;
      }
    } catch (error) {
      send(to.id, encodeFrame('noPart', id, [], 'it cannot be read'));
      this.#take(id)?.resolve(faultAnswerOf(error));
    }
  }
}

/** For people. */
export function nameOf({ id, site }: LinkedGateway): string {
  return site === '' ? shortId(id) : `${site} (${shortId(id)})`;
}
