/** The little that is used of multicast-dns 7.2.5, which brings no types. */
declare module 'multicast-dns' {
  import type { EventEmitter } from 'node:events';

  export interface DnsRecord {
    readonly name: string;
    readonly type: string;
    readonly ttl?: number;
    readonly data?: unknown;
  }
  export interface DnsPacket {
    readonly questions?: readonly { readonly name: string; readonly type: string }[];
    readonly answers?: readonly DnsRecord[];
    readonly additionals?: readonly DnsRecord[];
  }
  interface Mdns extends EventEmitter {
    query(packet: { questions: { name: string; type: string }[] }): void;
    respond(packet: { answers: DnsRecord[] }): void;
    destroy(done?: () => void): void;
  }
  export default function multicastDns(options?: { interface?: string; bind?: string }): Mdns;
}
