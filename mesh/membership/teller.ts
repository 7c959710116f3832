import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { DATAGRAM_MAX_BYTES } from '../link/peer-link.js';
import { type Body, encodeMessage, encodeRecord } from './codec.js';
import { GossipQueue } from './gossip-queue.js';
import { STATE_FRAME_BYTES } from './limits.js';
import { isPresent, type Member, type MemberRecord } from './member.js';
import type { MemberTable } from './member-table.js';
import type { MembershipOptions } from './options.js';
import { type Change, PushQueue } from './push-queue.js';
import type { Suspicions } from './suspicions.js';
import { retransmitLimit } from './timing.js';

export interface TellerPorts {
  readonly random: () => number;
  /** May get lost; at most DATAGRAM_MAX_BYTES. */
  sendDatagram(to: GatewayId, bytes: Uint8Array): void;
  /** On the link, which is there. Nobody changes the bytes. */
  pushFrame(to: GatewayId, bytes: Uint8Array): void;
}

const PUSH: Body = { kind: 'push' };
/** Version, kind, lengths and the longest body of a datagram. */
const DATAGRAM_OVERHEAD_BYTES = 56;

/** What leaves this gateway: news on the links, and datagrams with news on them. */
export class Teller {
  readonly links = new Set<GatewayId>();
  readonly #table: MemberTable;
  readonly #suspicions: Suspicions;
  readonly #options: MembershipOptions;
  readonly #ports: TellerPorts;
  readonly #pushes: PushQueue;
  readonly #gossip = new GossipQueue();
  datagramsSent = 0;
  framesSent = 0;
  bytesSent = 0;

  constructor(table: MemberTable, suspicions: Suspicions, options: MembershipOptions, ports: TellerPorts) {
    this.#table = table;
    this.#suspicions = suspicions;
    this.#options = options;
    this.#ports = ports;
    this.#pushes = new PushQueue(options, ports.random);
  }

  get nextDeadlineMs(): number {
    return this.#pushes.nextDeadlineMs;
  }

  /** @param from who told it; undefined: it arose here */
  news(id: GatewayId, withMetadata: boolean, from: GatewayId | undefined, now: number): void {
    this.#pushes.add({ id, accuser: undefined, withMetadata }, from, this.links.size, now);
  }

  /** One more suspects it. */
  confirmation(id: GatewayId, accuser: GatewayId, from: GatewayId | undefined, now: number): void {
    this.#pushes.add({ id, accuser, withMetadata: false }, from, this.links.size, now);
  }

  heard(id: GatewayId, accuser: GatewayId | undefined, from: GatewayId): void {
    this.#pushes.heard(id, accuser, from);
  }

  /** @param everything also what could be collected a little longer */
  flush(now: number, everything = false): void {
    const due = this.#pushes.takeDue(now, everything);
    if (due.length === 0) return;
    const isLinkedToAll = this.links.size >= this.#table.presentCount - 1;
    const told: { readonly change: Change; readonly bytes: Uint8Array }[] = [];
    for (const change of due) {
      const isTold = this.#pushes.isTold(change, this.links.size);
      if (isTold || !isLinkedToAll) this.#gossip.add(change.id, change.withMetadata, isTold);
      const bytes = isTold ? undefined : this.#encodeChange(change);
      if (bytes !== undefined) told.push({ change, bytes });
    }
    // Most links get the same: it is written once.
    const written = new Map<string, Uint8Array[]>();
    for (const link of this.links) {
      const forLink = told.filter(({ change }) => !change.heardFrom.has(link));
      if (forLink.length === 0) continue;
      const key =
        forLink.length === told.length ? '' : told.map((each) => Number(forLink.includes(each))).join('');
      const frames = written.get(key) ?? framesOf(forLink.map(({ bytes }) => bytes));
      written.set(key, frames);
      for (const frame of frames) this.#frame(link, frame);
    }
  }

  /** On the link, if there is one. */
  frame(to: GatewayId, body: Body): void {
    if (this.links.has(to)) this.#frame(to, encodeMessage(body));
  }

  /** What is known of these, on the link. */
  records(to: GatewayId, members: Iterable<Member>): void {
    const records: Uint8Array[] = [];
    for (const member of members) records.push(encodeRecord(this.#record(member, true)));
    if (records.length > 0 && this.links.has(to))
      for (const frame of framesOf(records)) this.#frame(to, frame);
  }

  /** With news on it. One that is not held alive is told so first, that it can answer (Lifeguard's buddy system). */
  datagram(to: GatewayId, body: Body): void {
    const records: Uint8Array[] = [];
    const member = this.#table.get(to);
    if (member !== undefined && member.status !== 'alive')
      records.push(encodeRecord(this.#record(member, false)));
    const room = DATAGRAM_MAX_BYTES - DATAGRAM_OVERHEAD_BYTES - (records[0]?.length ?? 0);
    const limit = retransmitLimit(this.#options.gossipLambda, this.#table.presentCount);
    const encode = (id: GatewayId, withMetadata: boolean): Uint8Array | undefined =>
      this.#encodeForGossip(id, withMetadata, room);
    records.push(...this.#gossip.take(room, this.links.has(to), limit, encode));
    const bytes = encodeMessage(body, records);
    this.datagramsSent++;
    this.bytesSent += bytes.length;
    this.#ports.sendDatagram(to, bytes);
  }

  #frame(to: GatewayId, bytes: Uint8Array): void {
    this.framesSent++;
    this.bytesSent += bytes.length;
    this.#ports.pushFrame(to, bytes);
  }

  #encodeForGossip(id: GatewayId, withMetadata: boolean, room: number): Uint8Array | undefined {
    const member = this.#table.get(id);
    if (member === undefined) return undefined;
    const bytes = encodeRecord(this.#record(member, withMetadata));
    // With the longest addresses it fits into no datagram: then the status goes alone, and the rest with the next comparison.
    return bytes.length + 2 > room ? encodeRecord(this.#record(member, false)) : bytes;
  }

  #encodeChange({ id, accuser, withMetadata }: Change): Uint8Array | undefined {
    const member = this.#table.get(id);
    if (member === undefined || (accuser !== undefined && member.status !== 'suspect')) return undefined;
    return encodeRecord(this.#record(member, withMetadata, accuser));
  }

  #record(member: Member, withMetadata: boolean, accuser?: GatewayId): MemberRecord {
    const { id, epoch, incarnation, status, metadata } = member;
    const isSuspect = status === 'suspect';
    return {
      id,
      epoch,
      incarnation,
      status,
      accuser: isSuspect ? (accuser ?? this.#suspicions.accuserOf(id)) : undefined,
      evidence: isSuspect ? this.#suspicions.evidenceOf(id) : 'silent',
      metadata: withMetadata && (metadata.version > 0 || isPresent(status)) ? metadata : undefined,
    };
  }
}

function framesOf(records: readonly Uint8Array[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let batch: Uint8Array[] = [];
  let bytes = 0;
  for (const record of records) {
    if (batch.length > 0 && bytes + record.length > STATE_FRAME_BYTES) {
      frames.push(encodeMessage(PUSH, batch));
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += record.length;
  }
  frames.push(encodeMessage(PUSH, batch));
  return frames;
}
