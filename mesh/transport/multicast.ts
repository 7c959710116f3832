import multicastDns, { type DnsPacket, type DnsRecord } from 'multicast-dns';
import { isAnyHost } from './address.js';
import type { LanPacket, MulticastPort } from './lan-beacon.js';

const RECORDS_MAX_COUNT = 64;

/** Multicast DNS on the interfaces of this machine. @param host that the gateway listens on: only the network of that one */
export function createMulticastPort(host: string): MulticastPort {
  let mdns: ReturnType<typeof multicastDns> | undefined;
  return {
    open(onPacket) {
      return new Promise((resolve, reject) => {
        // Bound to the address of an interface a socket hears nothing that is sent to the group.
        const opened = multicastDns(isAnyHost(host) ? {} : { interface: host, bind: '0.0.0.0' });
        opened.once('error', reject);
        opened.on('warning', () => {});
        opened.once('ready', () => {
          opened.off('error', reject);
          opened.on('error', () => {});
          mdns = opened;
          resolve();
        });
        opened.on('packet', (packet: DnsPacket, from: { address: string }) =>
          onPacket(parsePacket(packet), from.address),
        );
      });
    },
    query: (name) => mdns?.query({ questions: [{ name, type: 'PTR' }] }),
    respond: (records) => mdns?.respond({ answers: [...records] }),
    close: () =>
      new Promise((resolve) => {
        if (mdns === undefined) resolve();
        else mdns.destroy(() => resolve());
      }),
  };
}

/** What concerns us of a packet that anyone may have sent. */
export function parsePacket(packet: DnsPacket): LanPacket {
  const questions = (packet.questions ?? []).slice(0, RECORDS_MAX_COUNT);
  const records = [...(packet.answers ?? []), ...(packet.additionals ?? [])].slice(0, RECORDS_MAX_COUNT);
  return {
    questions: questions.filter(({ type }) => type === 'PTR' || type === 'ANY').map(({ name }) => name),
    texts: records
      .filter(({ type }) => type === 'TXT')
      .map((record) => ({ name: record.name, texts: textsOf(record) })),
  };
}

function textsOf({ data }: DnsRecord): string[] {
  const parts: readonly unknown[] = Array.isArray(data) ? data : [data];
  return parts
    .filter((part) => typeof part === 'string' || part instanceof Uint8Array)
    .map((part) => (typeof part === 'string' ? part : Buffer.from(part).toString('utf8')));
}
