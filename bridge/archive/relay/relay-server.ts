/**
 * Archives for other gateways: does in the own store what they may ask for, without a socket, a thread or a clock of its own.
 *
 *     linked ── offer ──▶      request ── may it? ─▶ paced ─▶ room for its body ─▶ store ── answer ──▶
 */
import type { ServedCounts } from '../../../lib/contracts/archive-status.js';
import type { Clock, Timers } from '../../../lib/contracts/clock.js';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { ChannelUser, LinkedGateway } from '../../../lib/contracts/peer-channel.js';
import { Pace } from '../paced-body.js';
import { BodyBudget } from './body-budget.js';
import { BodyPuller } from './body-puller.js';
import {
  BODIES_MAX_BYTES,
  OBJECT_MAX_BYTES,
  READ_MAX_BYTES,
  REQUESTS_MAX_COUNT,
  REQUESTS_PER_SECOND,
} from './limits.js';
import {
  type AskStore,
  faultAnswer,
  type FaultAnswer,
  type ObjectAnswer,
  type ObjectRequest,
} from './object-request.js';
import { PullWindow } from './pull-window.js';
import {
  decodeFrame,
  encodeAnswer,
  encodeFrame,
  RELAY_VERSION,
  type RelayFrame,
  requestOf,
  textOf,
} from './relay-frames.js';
import { isOwnKey } from './served-keys.js';

export interface ServerPorts {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Bytes that a frame may carry. */
  readonly frameMaxBytes: number;
  /** See PeerChannel.send. */
  send(to: GatewayId, frame: Uint8Array): boolean;
  readonly ask: AskStore;
}

export interface ServerOptions {
  /** Bytes of a body that the store reads at once at most. */
  readonly pieceMaxBytes: number;
}

type CreateRequest = Extract<ObjectRequest, { readonly kind: 'create' }>;

/** A gateway with a link, until that ends. */
interface Served {
  readonly id: GatewayId;
  readonly pace: Pace;
  readonly window: PullWindow;
  readonly requests: Map<number, BodyPuller | undefined>;
  /** Its bodies come one after the other. */
  bodies: Promise<void>;
  isOver: boolean;
}

export class RelayServer implements ChannelUser {
  readonly #ports: ServerPorts;
  readonly #pieceMaxBytes: number;
  readonly #budget = new BodyBudget(BODIES_MAX_BYTES);
  readonly #served = new Map<GatewayId, Served>();
  readonly #counts = { done: 0, failed: 0, refused: 0, bytes: 0 };

  constructor(ports: ServerPorts, { pieceMaxBytes }: ServerOptions) {
    this.#ports = ports;
    this.#pieceMaxBytes = pieceMaxBytes;
  }

  /** They only rise. */
  get counts(): ServedCounts {
    return { ...this.#counts };
  }

  linked({ id }: LinkedGateway): void {
    this.unlinked(id);
    const { clock, timers, send } = this.#ports;
    this.#served.set(id, {
      ...{ id, pace: new Pace(() => REQUESTS_PER_SECOND, clock, timers), window: new PullWindow() },
      ...{ requests: new Map(), bodies: Promise.resolve(), isOver: false },
    });
    send(id, encodeFrame('offer', 0, [RELAY_VERSION]));
  }

  unlinked(id: GatewayId): void {
    const served = this.#served.get(id);
    if (served === undefined) return;
    this.#served.delete(id);
    served.isOver = true;
    for (const puller of served.requests.values()) puller?.end('the link to it broke');
  }

  onFrame(from: GatewayId, bytes: Uint8Array): string | undefined {
    const served = this.#served.get(from);
    const frame = decodeFrame(bytes);
    if (served === undefined || frame === undefined) return undefined;
    if (typeof frame === 'string') return frame;
    const { kind, id, numbers, rest } = frame;
    const puller = served.requests.get(id);
    if (kind === 'part') {
      if (puller?.isWaiting !== true) return undefined;
      const fault = puller.came(numbers[0] ?? 0, rest);
      if (fault === undefined) this.#counts.bytes += rest.length;
      return fault;
    }
    if (kind === 'noPart') puller?.end(textOf(rest));
    return this.#asked(served, frame);
  }

  #asked(served: Served, frame: RelayFrame): string | undefined {
    const request = requestOf(frame);
    if (request === undefined) return undefined;
    const { id } = frame;
    if (served.requests.has(id)) return 'it asked for two things under one number';
    const refusal = this.#refusalOf(served, request);
    if (refusal === undefined) {
      void this.#serve(served, id, request);
      return undefined;
    }
    this.#counts.refused++;
    const isTold = this.#ports.send(served.id, encodeAnswer(id, refusal));
    return isTold ? undefined : 'it asks for more than it takes answers';
  }

  #refusalOf({ id, requests }: Served, request: ObjectRequest): FaultAnswer | undefined {
    if (requests.size >= REQUESTS_MAX_COUNT)
      return faultAnswer('busy', `${REQUESTS_MAX_COUNT} requests are under way, which is the limit`);
    if ('key' in request && !isOwnKey(id, request.key))
      return faultAnswer(
        'denied',
        `${JSON.stringify(request.key)} is no object of the gateway that asks for it`,
      );
    if (request.kind === 'create' && request.length > OBJECT_MAX_BYTES)
      return faultAnswer(
        'denied',
        `an object of ${request.length} bytes: at most ${OBJECT_MAX_BYTES} are taken; lower archive.fileMaxBytes`,
      );
    return undefined;
  }

  async #serve(served: Served, id: number, request: ObjectRequest): Promise<void> {
    const puller = request.kind === 'create' ? this.#createPuller(served, id, request.length) : undefined;
    served.requests.set(id, puller);
    await served.pace.through(1);
    const answer = await (request.kind === 'create' && puller !== undefined
      ? this.#create(served, request, puller)
      : this.#do(served, request));
    if (served.isOver) return;
    served.requests.delete(id);
    if (answer === undefined) return;
    if (answer.kind === 'fault') this.#counts.failed++;
    else this.#counts.done++;
    this.#ports.send(served.id, encodeAnswer(id, answer));
  }

  /** @returns undefined: nobody waits for it any more, and it was not begun */
  async #do(served: Served, request: ObjectRequest): Promise<ObjectAnswer | undefined> {
    if (served.isOver) return undefined;
    const none = (): Promise<never> => Promise.reject(new Error('nothing is created'));
    if (request.kind !== 'read') return this.#ports.ask(request, none);
    const length = Math.min(request.length, READ_MAX_BYTES, this.#ports.frameMaxBytes);
    const answer = await this.#ports.ask({ ...request, length }, none);
    // Of nothing that was asked for nobody knows whether it is the end.
    return answer.kind === 'bytes' && length === 0 ? { ...answer, isEnd: false } : answer;
  }

  /** One body of a gateway at a time, and of all no more than there is room for. @returns as `#do` */
  #create(served: Served, request: CreateRequest, puller: BodyPuller): Promise<ObjectAnswer | undefined> {
    const bytes = Math.min(request.length, this.#pieceMaxBytes);
    const task = served.bodies.then(async () => {
      await this.#budget.take(bytes);
      try {
        if (served.isOver) return undefined;
        return await this.#ports.ask(request, (offset, length) => puller.read(offset, length));
      } finally {
        this.#budget.giveBack(bytes);
      }
    });
    served.bodies = task.then(() => undefined);
    return task;
  }

  #createPuller({ id: to, window }: Served, id: number, length: number): BodyPuller {
    const { clock, timers, send } = this.#ports;
    const pull = (offset: number, count: number): boolean =>
      send(to, encodeFrame('pull', id, [offset, count]));
    return new BodyPuller({ clock, timers, window, pull }, length, this.#pieceMaxBytes);
  }
}
