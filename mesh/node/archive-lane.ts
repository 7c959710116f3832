/**
 * Frames of the archive of this gateway to that of another one. They go when the link has little else to do: one frame at a time is what a
 * live message may have to wait for.
 */
import { Channel } from '../link/peer-link.js';
import type { Lane } from './carried-channel.js';
import {
  ARCHIVE_FRAME_MAX_BYTES,
  ARCHIVE_FRAME_MIN_BYTES,
  ARCHIVE_LANE_MAX_BYTES,
  ARCHIVE_LINK_QUEUED_MAX_BYTES,
} from './limits.js';
import type { Peer } from './peer.js';

/** Of a second, where the link is to be spared. */
const FRAME_SHARE = 8;

/** @param linkMaxBytesPerSecond 0: no limit */
export function archiveFrameMaxBytes(linkMaxBytesPerSecond: number): number {
  const share = Math.floor(linkMaxBytesPerSecond / FRAME_SHARE) || ARCHIVE_FRAME_MAX_BYTES;
  return Math.min(ARCHIVE_FRAME_MAX_BYTES, Math.max(ARCHIVE_FRAME_MIN_BYTES, share));
}

export class ArchiveLane implements Lane {
  readonly #peer: Peer;
  readonly #queue: Uint8Array[] = [];
  #bytes = 0;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  send(frame: Uint8Array): boolean {
    if (this.#bytes + frame.length > ARCHIVE_LANE_MAX_BYTES) return false;
    this.#queue.push(frame);
    this.#bytes += frame.length;
    this.pump();
    return true;
  }

  pump(): void {
    const { link, sender } = this.#peer;
    if (link === undefined) return;
    while (this.#queue.length > 0 && link.queuedBytes <= ARCHIVE_LINK_QUEUED_MAX_BYTES) {
      if (sender?.hasSpareRate === false) return;
      const frame = this.#queue.shift() as Uint8Array;
      this.#bytes -= frame.length;
      sender?.spend(frame.length);
      link.send(Channel.archive, frame);
    }
  }
}
