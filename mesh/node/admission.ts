/**
 * Who may be a member, as far as this gateway knows: the signed statements of the administrator, which every gateway passes on. Frames of the
 * channel `roster` are those of Roster.encode.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { AdminBinding } from '../admission/admin-key.js';
import { decodeEvictions, encodeEvictions, Roster } from '../admission/roster.js';

export interface AdmissionPorts {
  /** Whether the swarm key was made for this administrator. */
  matchesAdmin(publicKey: Uint8Array, salt: Uint8Array): boolean;
  /** It is to be there after a restart. */
  save(roster: Roster): void;
  evicted(id: GatewayId, reason: string): void;
}

export class Admission {
  readonly #ports: AdmissionPorts;
  #roster: Roster | undefined;

  /** @param roster undefined: the gateway has not learnt yet who the administrator is */
  constructor(roster: Roster | undefined, ports: AdmissionPorts) {
    this.#roster = roster;
    this.#ports = ports;
  }

  get admin(): AdminBinding | undefined {
    return this.#roster?.admin;
  }

  /** The same at two gateways that know the same; empty: nothing is known. */
  get version(): string {
    return this.#roster?.version ?? '';
  }

  isEvicted(id: GatewayId): boolean {
    return this.#roster?.isEvicted(id) === true;
  }

  reasonOf(id: GatewayId): string {
    return this.#roster?.evictionOf(id)?.reason ?? '';
  }

  /** What the evicted one is shown, as a frame; undefined: it is not evicted. */
  statementOn(id: GatewayId): Uint8Array | undefined {
    const eviction = this.#roster?.evictionOf(id);
    return eviction === undefined ? undefined : encodeEvictions([eviction])[0];
  }

  frames(): readonly Uint8Array[] {
    return this.#roster?.encode() ?? [];
  }

  /** What another gateway says of the administrator; it is believed where the swarm key agrees. */
  learnAdmin(admin: AdminBinding | undefined): void {
    if (admin === undefined || this.#roster !== undefined) return;
    if (!this.#ports.matchesAdmin(admin.publicKey, admin.salt)) return;
    this.#roster = new Roster(admin);
    this.#ports.save(this.#roster);
  }

  /** @returns whether anything of it was news. @throws MalformedFrame */
  merge(frame: Uint8Array): boolean {
    const statements = decodeEvictions(frame);
    const roster = this.#roster;
    if (roster === undefined) return false;
    const news = roster.merge(statements);
    if (news.length === 0) return false;
    this.#ports.save(roster);
    for (const id of news) this.#ports.evicted(id, this.reasonOf(id));
    return true;
  }
}
