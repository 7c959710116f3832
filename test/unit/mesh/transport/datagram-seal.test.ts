import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import { DatagramSeal, ReplayWindow, SEAL_OVERHEAD_BYTES } from '../../../../mesh/transport/datagram-seal.js';

function pair(): [DatagramSeal, DatagramSeal] {
  const [one, two] = [randomBytes(32), randomBytes(32)];
  return [new DatagramSeal(one, two, true), new DatagramSeal(two, one, false)];
}

test('datagrams pass in both directions, also out of order', async (t) => {
  const [a, b] = pair();
  const sealed = ['one', 'two', 'three', ''].map((text) => a.seal(Buffer.from(text)));
  const opened = sealed.reverse().map((bytes) => b.open(bytes));
  t.same(
    opened.map((bytes) => Buffer.from(bytes ?? []).toString()),
    ['', 'three', 'two', 'one'],
  );
  t.equal(Buffer.from(a.open(b.seal(Buffer.from('back'))) ?? []).toString(), 'back');
  t.equal(sealed[3]?.length, 3 + SEAL_OVERHEAD_BYTES);
});

test('a datagram counts once', async (t) => {
  const [a, b] = pair();
  const sealed = a.seal(Buffer.from('probe'));
  t.ok(b.open(sealed));
  t.equal(b.open(sealed), undefined);
  t.equal(b.dropped, 1);
});

test('one that is older than the window is dropped', async (t) => {
  const [a, b] = pair();
  const old = a.seal(Buffer.from('old'));
  for (let index = 0; index < 1024; index++) b.open(a.seal(Buffer.from('new')));
  t.equal(b.open(old), undefined);
});

test('what was changed, cut, made up, or sent back is dropped', async (t) => {
  const [a, b] = pair();
  const sealed = Buffer.from(a.seal(Buffer.from('a probe of the mesh')));
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const forged = Buffer.from(sealed);
      const index = at % forged.length;
      forged[index] = (forged[index] ?? 0) ^ change;
      t.equal(b.open(forged), undefined);
    }),
  );
  for (let length = 0; length < sealed.length; length++)
    t.equal(b.open(sealed.subarray(0, length)), undefined);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => t.equal(b.open(noise), undefined)));
  t.equal(a.open(sealed), undefined, 'its own');
  t.ok(b.open(sealed), 'and after all this the real one counts');
});

test('the window knows exactly what has been', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 100 }), (numbers) => {
      const window = new ReplayWindow(16);
      const seen = new Set<number>();
      let newest = 0;
      for (const number of numbers) {
        const expected = !seen.has(number) && number > newest - 16;
        t.equal(window.isNew(number), expected);
        if (!expected) continue;
        window.add(number);
        seen.add(number);
        newest = Math.max(newest, number);
      }
    }),
  );
  t.equal(new ReplayWindow(16).isNew(0), false);
});
