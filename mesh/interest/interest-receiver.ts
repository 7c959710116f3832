/**
 * What one peer wants, as it tells. An update takes effect as a whole when its last frame is there, or not at all; the answer carries
 * where this gateway's log ends at that moment: from there on nothing is missed. What is beyond the limits is refused, and the version
 * before it stays.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { MalformedFrame } from '../wire/bytes.js';
import {
  encodeAnswer,
  type Refusal,
  type UpdateFrame,
  type UpdateHead,
  type Verdict,
} from './interest-frames.js';
import type { InterestImage } from './interest-sender.js';
import { FILTERS_PER_PEER_MAX_BYTES, FILTERS_PER_PEER_MAX_COUNT } from './limits.js';
import type { PeerMatcher, RemoteInterest } from './remote-interest.js';

export interface AppliedInterest {
  readonly version: number;
  /** Up to here the peer has what it wanted of this gateway's log with the version before. */
  readonly since: LogPosition;
  /** Newest position of this gateway's log when the version took effect. */
  readonly head: LogPosition;
  /** What is wanted now and was not, or not with this QoS: it may be missing before `head`. */
  readonly grown: readonly (readonly [filter: string, qos: QoS])[];
}

export interface InterestReceiverPorts {
  /** Newest position of this gateway's log. */
  head(): LogPosition;
  /** On the channel `interest` of the link. */
  send(frame: Uint8Array): void;
  applied(update: AppliedInterest): void;
  /** It is beyond the limits, and what the peer wanted before stands; on a link over which nothing came before, nothing does. */
  refused(verdict: Refusal): void;
}

export interface InterestLimits {
  readonly filtersMaxCount: number;
  readonly filtersMaxBytes: number;
}

/** An update of which the last frame is not there yet. */
interface Staged {
  readonly head: UpdateHead;
  readonly filters: Map<string, QoS | undefined>;
  bytes: number;
  verdict: Verdict;
}

const DEFAULT_LIMITS: InterestLimits = {
  filtersMaxCount: FILTERS_PER_PEER_MAX_COUNT,
  filtersMaxBytes: FILTERS_PER_PEER_MAX_BYTES,
};

export class InterestReceiver {
  readonly matcher: PeerMatcher;
  readonly #peer: GatewayId;
  readonly #remote: RemoteInterest;
  readonly #ports: InterestReceiverPorts;
  readonly #limits: InterestLimits;
  #image: InterestImage | undefined;
  #staged: Staged | undefined;

  constructor(
    peer: GatewayId,
    remote: RemoteInterest,
    ports: InterestReceiverPorts,
    limits: InterestLimits = DEFAULT_LIMITS,
  ) {
    this.#peer = peer;
    this.#remote = remote;
    this.#ports = ports;
    this.#limits = limits;
    this.matcher = remote.matcherOf(peer);
  }

  /** For hello: what this gateway has of the peer's interest; undefined: nothing. Outlives a link. */
  get image(): InterestImage | undefined {
    return this.#image;
  }

  /** The link is gone, and with it what was on its way. */
  unlinked(): void {
    this.#staged = undefined;
  }

  /** The peer wants nothing any more: it is no member, or it is to tell all anew. */
  forget(): void {
    this.#staged = undefined;
    this.#image = undefined;
    this.#remote.removePeer(this.#peer);
  }

  /** @throws MalformedFrame */
  updated(frame: UpdateFrame): void {
    const staged = this.#stagedFor(frame);
    this.#stage(staged, frame);
    if (!frame.last) return;
    this.#staged = undefined;
    if (staged.verdict === 'applied') staged.verdict = this.#judge(staged);
    const head = this.#ports.head();
    const { verdict } = staged;
    if (verdict === 'applied') this.#apply(staged, head);
    else if (verdict !== 'baseMissing') this.#ports.refused(verdict);
    this.#ports.send(encodeAnswer({ version: frame.version, verdict, head }));
  }

  #stagedFor(frame: UpdateFrame): Staged {
    const begun = this.#staged;
    if (frame.first) {
      if (begun !== undefined) throw new MalformedFrame('an update begins within another');
      const { life, base, version, since } = frame;
      const fits = base === undefined || (this.#image?.life === life && this.#image.version === base);
      const head: UpdateHead = { life, base, version, since };
      this.#staged = { head, filters: new Map(), bytes: 0, verdict: fits ? 'applied' : 'baseMissing' };
      return this.#staged;
    }
    if (begun === undefined) throw new MalformedFrame('a part of an update that did not begin');
    const { life, base, version } = begun.head;
    if (frame.life !== life || frame.base !== base || frame.version !== version)
      throw new MalformedFrame('a part of another update');
    return begun;
  }

  /** What is too much is not kept; changes may remove as much as they add. */
  #stage(staged: Staged, { filters, base }: UpdateFrame): void {
    const { filtersMaxCount, filtersMaxBytes } = this.#limits;
    const times = base === undefined ? 1 : 2;
    for (const [filter, qos] of filters) {
      if (staged.verdict !== 'applied') break;
      if (!staged.filters.has(filter)) staged.bytes += Buffer.byteLength(filter);
      staged.filters.set(filter, qos);
      if (staged.filters.size > filtersMaxCount * times) staged.verdict = 'tooManyFilters';
      else if (staged.bytes > filtersMaxBytes * times) staged.verdict = 'tooManyBytes';
    }
    if (staged.verdict !== 'applied') staged.filters.clear();
  }

  /** Whether what comes of the changes is within the limits. */
  #judge({ head, filters }: Staged): Verdict {
    if (head.base === undefined) return 'applied';
    let count = this.#remote.countOf(this.#peer);
    let bytes = this.#remote.bytesOf(this.#peer);
    for (const [filter, qos] of filters) {
      const isHeld = this.#remote.qosOf(this.#peer, filter) !== -1;
      if (isHeld === (qos !== undefined)) continue;
      count += isHeld ? -1 : 1;
      bytes += isHeld ? -Buffer.byteLength(filter) : Buffer.byteLength(filter);
    }
    if (count > this.#limits.filtersMaxCount) return 'tooManyFilters';
    return bytes > this.#limits.filtersMaxBytes ? 'tooManyBytes' : 'applied';
  }

  #apply({ head: { life, base, version, since }, filters }: Staged, head: LogPosition): void {
    const grown: [string, QoS][] = [];
    if (base === undefined)
      for (const filter of this.#remote.filtersOf(this.#peer))
        if (!filters.has(filter)) this.#remote.remove(this.#peer, filter);
    for (const [filter, qos] of filters) {
      if (qos === undefined) this.#remote.remove(this.#peer, filter);
      else {
        if (qos > this.#remote.qosOf(this.#peer, filter)) grown.push([filter, qos]);
        this.#remote.set(this.#peer, filter, qos);
      }
    }
    this.#image = { life, version };
    this.#ports.applied({ version, since, head, grown });
  }
}
