import type { AddressBook } from './identity/peer-files.js';
import { type AddressBookStore, type KnownPeer, type PeerAddress } from './transport/index.js';

const ADDRESS = /^(tcp|udp)\/(.+):(\d{1,5})$/;

/** The file of addresses as the transport has it: `tcp/192.168.1.7:4430`, `udp/[fe80::1]:4430`. */
export function addressStoreOf(book: AddressBook): AddressBookStore {
  return {
    load: async () =>
      (await book.load()).map(({ id, addresses }) => ({ id, addresses: addresses.flatMap(parseAddress) })),
    save: (peers: readonly KnownPeer[]) =>
      book.save(peers.map(({ id, addresses }) => ({ id, addresses: addresses.map(showAddress) }))),
  };
}

function showAddress({ kind, host, port }: PeerAddress): string {
  return `${kind}/${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function parseAddress(text: string): PeerAddress[] {
  const [, kind, host = '', port] = ADDRESS.exec(text) ?? [];
  if (kind !== 'tcp' && kind !== 'udp') return [];
  return [{ kind, host: host.replace(/^\[|\]$/g, ''), port: Number(port) }];
}
