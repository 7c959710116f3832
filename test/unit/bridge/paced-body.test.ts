import t from 'tap';
import { bodyOf } from '../../../bridge/archive/object-store.js';
import { Pace, paced } from '../../../bridge/archive/paced-body.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

t.test('what is created goes at its pace, and everything else as it comes', async (t) => {
  let now = 0;
  const waits: number[] = [];
  const clock = { now: () => now, wall: () => 0 };
  const timers = {
    after: (delayMs: number, fire: () => void) => {
      waits.push(delayMs);
      now += delayMs;
      fire();
      return { cancel: () => undefined };
    },
  };
  const store = new MemoryObjectStore();
  const slow = paced(store, new Pace(() => 1000, clock, timers));
  for (const key of ['a', 'b', 'c']) t.equal(await slow.create(key, bodyOf(Buffer.alloc(500, key))), true);
  t.same(waits, [500, 500], '500 bytes of 1,000 a second');
  t.equal(await slow.create('a', bodyOf(Buffer.alloc(1))), false);
  t.equal((await slow.read('b', { offset: 0, length: 2 }))?.length, 2);
  t.same(await slow.stat('c'), { key: 'c', length: 500 });
  const keys: string[] = [];
  for await (const { key } of slow.list('')) keys.push(key);
  t.same(keys, ['a', 'b', 'c']);
  await slow.remove('a');
  t.equal(await slow.stat('a'), undefined);
  t.equal(slow.name, store.name);
  t.equal(await slow.createsOnce(), true);
  now += 10_000;
  await slow.create('d', bodyOf(Buffer.alloc(500)));
  t.ok(waits.length <= 3, 'time that has passed is not saved up, nor waited for');
});
