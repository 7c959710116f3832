/**
 * What is heard of the members of the mesh, and what follows from it: who is to have a link, where each is reached, and whether one of them,
 * or this gateway itself, has a life that nobody knew.
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { epochText } from '../identity/lineage.js';
import { Channel } from '../link/peer-link.js';
import { isPresent, type LinkEnd, type Member, Membership } from '../membership/index.js';
import type { Alarm } from './alarm.js';
import type { FormerMembers } from './former-members.js';
import type { MeshNodeOptions } from './node-options.js';
import type { NodeParts } from './node-parts.js';
import type { Peers } from './peers.js';
import type { Rebirth } from './rebirth.js';

export interface MemberWatchParts {
  readonly node: Pick<NodeParts, 'clock' | 'logger' | 'lineage'>;
  readonly options: Pick<
    MeshNodeOptions,
    'site' | 'software' | 'addresses' | 'random' | 'membership' | 'wanted' | 'heardOf'
  >;
  readonly peers: Peers;
  readonly former: FormerMembers;
  readonly rebirth: Rebirth;
  /** It is to ring when membership has something to do. */
  readonly alarm: Alarm;
}

export class MemberWatch {
  readonly #parts: MemberWatchParts;
  #membership: Membership | undefined;

  constructor(parts: MemberWatchParts) {
    this.#parts = parts;
  }

  get hasBegun(): boolean {
    return this.#membership !== undefined;
  }

  get membership(): Membership {
    if (this.#membership === undefined) throw new Error('the node has not begun');
    return this.#membership;
  }

  /** A life of this gateway begins. */
  begin(): void {
    const { node, options, peers, alarm } = this.#parts;
    const { clock, lineage } = node;
    const { site, software, addresses, random, membership } = options;
    const { counter, nonce } = lineage.present;
    this.#membership = new Membership(
      { id: lineage.self, epoch: { counter, nonce }, site, software, addresses: addresses() },
      {
        ...{ clock, random },
        sendDatagram: (to, bytes) => peers.get(to)?.link?.sendDatagram(bytes),
        pushFrame: (to, bytes) => void peers.get(to)?.link?.send(Channel.membership, bytes),
        onChange: (member, before) => this.#changed(member, before),
        onConflict: (id, known, told) => this.#conflict(id, known, told),
      },
      membership,
    );
    alarm.by(clock.now());
  }

  /** Tells all that this gateway goes. */
  leave(): void {
    if (this.#membership === undefined) return;
    this.#membership.leave();
    this.#parts.alarm.by(this.#parts.node.clock.now());
  }

  /** By the word of the administrator. */
  forget(id: GatewayId): void {
    this.#membership?.forget(id);
  }

  linkUp(id: GatewayId): void {
    this.membership.linkUp(id);
    this.heard();
  }

  /** `heard` is to follow, when all that ends with the link has ended. */
  linkDown(id: GatewayId, end: LinkEnd): void {
    this.membership.linkDown(id, end);
  }

  onFrame(from: GatewayId, frame: Uint8Array): void {
    this.membership.onFrame(from, frame);
    this.heard();
  }

  onDatagram(from: GatewayId, bytes: Uint8Array): void {
    this.membership.onDatagram(from, bytes);
    this.heard();
  }

  /** Membership may have something to do sooner than it had. */
  heard(): void {
    const { alarm, node } = this.#parts;
    alarm.by(Math.max(this.membership.nextDeadlineMs, node.clock.now()));
  }

  tick(now: number): void {
    if (now >= this.membership.nextDeadlineMs) this.membership.tick(now);
  }

  /** Members that are held to be there. */
  *present(): Iterable<GatewayId> {
    for (const { id, status } of this.membership.members()) if (isPresent(status)) yield id;
  }

  /** Who is to have a link may have changed. */
  tellWanted(): void {
    const { options, node, former } = this.#parts;
    const wanted: GatewayId[] = [];
    for (const { id, status } of this.membership.members())
      if (id !== node.lineage.self && status !== 'left' && !former.hasLeft(id)) wanted.push(id);
    options.wanted(wanted);
  }

  #changed(member: Member, before: Member | undefined): void {
    const { node, options } = this.#parts;
    const { id, status } = member;
    if (id === node.lineage.self) return;
    const isOther = before?.status !== status;
    if (isOther) {
      node.logger.info('a gateway of the mesh', { gateway: id, status, site: member.metadata.site });
      this.tellWanted();
    }
    // After a return, too: the one that came back may have been elsewhere before.
    const { addresses } = member.metadata;
    const isNews = isOther || before.metadata.addresses !== addresses;
    if (isPresent(status) && addresses.length > 0 && isNews) options.heardOf?.(id, addresses);
  }

  /** Two lives of one gateway are told of, of which neither is the earlier. */
  #conflict(id: GatewayId, known: Epoch, told: Epoch): void {
    const { node, rebirth } = this.#parts;
    if (id === node.lineage.self) {
      // It may be what others still remember of the time before this data folder was put back, or a copy that is alive: `rebirth` tells.
      rebirth.heardOf(told);
      return;
    }
    node.logger.warn(
      'two lives of a gateway are told of: its data folder was copied, or put back to an old image',
      {
        gateway: id,
        known: epochText(known),
        told: epochText(told),
      },
    );
  }
}
