/**
 * A proven, encrypted connection to one other gateway, as the protocols of the mesh see it: frames that arrive whole and in order
 * on channels, until the link is closed, and datagrams that may get lost. Sockets implement it in mesh/transport, the
 * simulation in test/sim/mesh.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';

/** Each carries one protocol; the number is on the wire. */
export const Channel = {
  /** Who the two are: first frame of both sides. */
  hello: 0,
  membership: 1,
  interest: 2,
  /** Messages that are acknowledged. */
  forward: 3,
  /** Messages of QoS 0. */
  passing: 4,
  retained: 5,
  /** Frames of others that have no link of their own. */
  relay: 6,
  /** Runs of small messages of QoS 0, as their publisher sent them. */
  runs: 7,
  /** Who may not be a member. */
  roster: 8,
  /** Two live processes with one key. */
  clones: 9,
  /** Who has left for good. */
  departures: 10,
  /** Objects that one gateway has another one bring to the store of its archive: see lib/contracts/peer-channel.ts. */
  archive: 11,
  /** Copies of what is to be archived: see lib/contracts/peer-channel.ts. */
  wire: 12,
} as const;
export type Channel = (typeof Channel)[keyof typeof Channel];

/** `relayed`: through one other member. */
export type LinkPath = 'tcp' | 'udx' | 'relayed';

export interface PeerLink {
  readonly peer: GatewayId;
  readonly path: LinkPath;
  /** For people and logs: `192.168.1.7:4430`. */
  readonly remoteAddress: string;
  /** Bytes that were handed to `send` and have not left yet. */
  readonly queuedBytes: number;
  /**
   * Never throws, never blocks; on a closed link nothing happens. The bytes are the link's until it has sent them: nobody changes them.
   * @returns false: enough is queued, `onDrain` is called when it has left
   */
  send(channel: Channel, frame: Uint8Array): boolean;
  /** May get lost, come twice or out of order; at most DATAGRAM_MAX_BYTES. */
  sendDatagram(bytes: Uint8Array): void;
  /** `onClose` follows, once, unless it has been called. @param reason for the log and for the other side */
  close(reason: string): void;
  /** Set by who uses the link, before anything can arrive. */
  handlers: LinkHandlers | undefined;
}

/** Calls back one at a time, never from inside a method of the link. Frames and datagrams are the receiver's own only during the call. */
export interface LinkHandlers {
  onFrame(channel: Channel, frame: Uint8Array): void;
  onDatagram(bytes: Uint8Array): void;
  onDrain(): void;
  /** Once, and last. */
  onClose(reason: string): void;
}

export const DATAGRAM_MAX_BYTES = 1100;
/** A larger one ends the link. */
export const FRAME_MAX_BYTES = 1_048_576;
