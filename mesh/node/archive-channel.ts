/**
 * Frames that the archives of two gateways send each other. They go when the link has little else to do: one frame at a time is what a
 * live message may have to wait for.
 */
import type { ArchiveLinkHandlers, ArchiveLinks } from '../../lib/contracts/archive-links.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { Channel } from '../link/peer-link.js';
import {
  ARCHIVE_FRAME_MAX_BYTES,
  ARCHIVE_FRAME_MIN_BYTES,
  ARCHIVE_LANE_MAX_BYTES,
  ARCHIVE_LINK_QUEUED_MAX_BYTES,
} from './limits.js';
import type { Peer } from './peer.js';

/** Of a second, where the link is to be spared. */
const FRAME_SHARE = 8;

interface Lane {
  readonly peer: Peer;
  readonly queue: Uint8Array[];
  bytes: number;
}

export class ArchiveChannel implements ArchiveLinks {
  handlers: ArchiveLinkHandlers | undefined;
  readonly frameMaxBytes: number;
  readonly #lanes = new Map<GatewayId, Lane>();

  /** @param linkMaxBytesPerSecond 0: no limit */
  constructor(linkMaxBytesPerSecond: number) {
    const share = Math.floor(linkMaxBytesPerSecond / FRAME_SHARE) || ARCHIVE_FRAME_MAX_BYTES;
    this.frameMaxBytes = Math.min(ARCHIVE_FRAME_MAX_BYTES, Math.max(ARCHIVE_FRAME_MIN_BYTES, share));
  }

  send(to: GatewayId, frame: Uint8Array): boolean {
    const lane = this.#lanes.get(to);
    if (lane === undefined || lane.bytes + frame.length > ARCHIVE_LANE_MAX_BYTES) return false;
    lane.queue.push(frame);
    lane.bytes += frame.length;
    this.#pump(lane);
    return true;
  }

  /** Both have said who they are. */
  linked(peer: Peer): void {
    if (this.handlers === undefined) return;
    this.#lanes.set(peer.gateway, { peer, queue: [], bytes: 0 });
    const { gateway: id, hello, link } = peer;
    this.handlers.linked({ id, site: hello?.site ?? '', isRelayed: link?.path === 'relayed' });
  }

  unlinked(id: GatewayId): void {
    if (this.#lanes.delete(id)) this.handlers?.unlinked(id);
  }

  received(peer: Peer, frame: Uint8Array): void {
    const refusal = this.#lanes.has(peer.gateway) ? this.handlers?.onFrame(peer.gateway, frame) : undefined;
    if (refusal !== undefined) peer.close(refusal);
  }

  /** The link has room again. */
  drained(id: GatewayId): void {
    const lane = this.#lanes.get(id);
    if (lane !== undefined) this.#pump(lane);
  }

  /** Some times a second. */
  tick(): void {
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  #pump(lane: Lane): void {
    const { peer, queue } = lane;
    const { link, sender } = peer;
    if (link === undefined) return;
    while (queue.length > 0 && link.queuedBytes <= ARCHIVE_LINK_QUEUED_MAX_BYTES) {
      if (sender?.hasSpareRate === false) return;
      const frame = queue.shift() as Uint8Array;
      lane.bytes -= frame.length;
      sender?.spend(frame.length);
      link.send(Channel.archive, frame);
    }
  }
}
