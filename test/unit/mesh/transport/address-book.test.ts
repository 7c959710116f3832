import { test } from 'tap';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { AddressBook, type KnownPeer } from '../../../../mesh/transport/address-book.js';
import type { PeerAddress } from '../../../../mesh/transport/address.js';
import { nullLogger } from '../../../support/null-logger.js';
import { VirtualTime } from './virtual-time.js';

function idOf(number: number): GatewayId {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, number);
  return gatewayIdOf(key);
}

function at(port: number, kind: PeerAddress['kind'] = 'tcp'): PeerAddress {
  return { kind, host: '10.0.0.1', port };
}

function createBook(stored: readonly KnownPeer[] = []): {
  book: AddressBook;
  time: VirtualTime;
  saves: (readonly KnownPeer[])[];
} {
  const time = new VirtualTime();
  const saves: (readonly KnownPeer[])[] = [];
  const store = {
    load: async () => stored,
    save: async (peers: readonly KnownPeer[]) => void saves.push(peers),
  };
  return { book: new AddressBook(store, time, nullLogger), time, saves };
}

test('the last good address comes first, and each is there once', async (t) => {
  const { book } = createBook();
  book.learn(idOf(1), [at(1), at(2)]);
  book.learn(idOf(1), [at(2), at(2, 'udp'), at(0), { kind: 'tcp', host: '', port: 9 }]);
  t.same(book.addressesOf(idOf(1)), [at(2), at(2, 'udp'), at(1)]);
  t.same(book.addressesOf(idOf(2)), []);
});

test('sixteen addresses of a peer, and 1,024 peers: what was good longest ago goes', async (t) => {
  const { book } = createBook();
  for (let port = 1; port <= 20; port++) book.learn(idOf(1), [at(port)]);
  t.equal(book.addressesOf(idOf(1)).length, 16);
  t.same(book.addressesOf(idOf(1))[0], at(20));
  for (let peer = 2; peer <= 1100; peer++) book.learn(idOf(peer), [at(1)]);
  t.equal(book.ids().length, 1024);
  t.notOk(book.has(idOf(1)));
  t.ok(book.has(idOf(1100)));
});

test('who is new is saved at once, also while something else waits to be', async (t) => {
  const { book, time, saves } = createBook();
  book.learn(idOf(1), [at(1)]);
  await time.advance(100);
  t.same(saves, [[{ id: idOf(1), addresses: [at(1)] }]]);
  book.learn(idOf(1), [at(2)]);
  await time.advance(5000);
  t.equal(saves.length, 1, 'another address of somebody known can wait');
  book.learn(idOf(2), [at(2)]);
  book.learn(idOf(1), [at(3)]);
  await time.advance(100);
  t.same(saves[1], [
    { id: idOf(2), addresses: [at(2)] },
    { id: idOf(1), addresses: [at(3), at(2), at(1)] },
  ]);
  await time.advance(60_000);
  t.equal(saves.length, 2);
});

test('other changes are saved ten seconds later, together, and at the end', async (t) => {
  const { book, time, saves } = createBook();
  await book.flush();
  t.equal(saves.length, 0, 'nothing new');
  book.learn(idOf(1), [at(1)]);
  book.learn(idOf(2), [at(2)]);
  await time.advance(100);
  saves.length = 0;
  book.learn(idOf(1), [at(3)]);
  await time.advance(9000);
  book.learn(idOf(2), [at(3)]);
  t.equal(saves.length, 0);
  await time.advance(1000);
  t.same(saves, [
    [
      { id: idOf(1), addresses: [at(3), at(1)] },
      { id: idOf(2), addresses: [at(3), at(2)] },
    ],
  ]);
  book.forget(idOf(1));
  book.forget(idOf(3));
  await book.flush();
  t.same(saves[1], [{ id: idOf(2), addresses: [at(3), at(2)] }]);
  await time.advance(60_000);
  t.equal(saves.length, 2);
});

test('what was saved is there again, without what is no address', async (t) => {
  const { book } = createBook([
    { id: idOf(7), addresses: [at(5), at(70_000), { kind: 'udp', host: '', port: 1 }] },
  ]);
  await book.load();
  t.same(book.addressesOf(idOf(7)), [at(5)]);
});

test('a book that cannot be read or written stops nothing', async (t) => {
  const warnings: string[] = [];
  const time = new VirtualTime();
  const fail = async (): Promise<never> => {
    throw new Error('no disk');
  };
  const logger = { ...nullLogger, warn: (message: string) => void warnings.push(message) };
  const book = new AddressBook({ load: fail, save: fail }, time, logger);
  await book.load();
  book.learn(idOf(1), [at(1)]);
  await time.advance(10_000);
  t.equal(warnings.length, 2);
  t.ok(book.has(idOf(1)));
});
