/** The little that is used of multicast-dns 7.2.5, which brings no types. */
declare module 'multicast-dns' {
  import type { Socket } from 'node:dgram';
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
  export interface MulticastDns extends EventEmitter {
    query(packet: { questions: { name: string; type: string }[] }, done: () => void): void;
    respond(packet: { answers: DnsRecord[] }, done: () => void): void;
    destroy(done: () => void): void;
  }
  export interface MulticastDnsOptions {
    readonly socket: Socket;
    /** false: the socket is made a member of groups by its owner. */
    readonly multicast: false;
    readonly bind: string;
  }
  export default function multicastDns(options: MulticastDnsOptions): MulticastDns;
}
