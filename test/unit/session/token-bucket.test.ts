import fc from 'fast-check';
import t from 'tap';
import { TokenBucket } from '../../../lib/session/token-bucket.js';

function taken(bucket: TokenBucket, now: number, tries: number): number {
  let count = 0;
  for (let n = 0; n < tries; n++) if (bucket.take(now)) count++;
  return count;
}

t.test('what it holds may be taken at once, then so much a second', async (t) => {
  const bucket = new TokenBucket({ perSecond: 10, capacity: 30, now: 5000 });
  t.equal(taken(bucket, 5000, 100), 30);
  t.equal(bucket.take(5099), false);
  t.equal(bucket.take(5100), true);
  t.equal(bucket.take(5100), false);
  t.equal(taken(bucket, 6100, 100), 10);
});

t.test('after a pause, however long, there is a burst and no more', async (t) => {
  const bucket = new TokenBucket({ perSecond: 10, capacity: 30, now: 0 });
  taken(bucket, 0, 30);
  t.equal(taken(bucket, 1e9, 100), 30);
});

t.test('a rate of less than one at a look adds up', async (t) => {
  const bucket = new TokenBucket({ perSecond: 1, capacity: 1, now: 0 });
  t.equal(bucket.take(0), true);
  let count = 0;
  for (let now = 10; now <= 10_000; now += 10) if (bucket.take(now)) count++;
  t.ok(count === 10 || count === 9, `${count}, give or take a rounding`);
});

t.test('in no stretch of time is more taken than the burst and the rate allow', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 }),
      (perSecond, capacity, gapsMs) => {
        const bucket = new TokenBucket({ perSecond, capacity, now: 0 });
        const times: number[] = [];
        let now = 0;
        for (const gapMs of gapsMs) {
          now += gapMs;
          for (let n = 0; n < 5; n++) if (bucket.take(now)) times.push(now);
        }
        for (let from = 0; from < times.length; from++) {
          for (let to = from; to < times.length; to++) {
            const spanS = ((times[to] ?? 0) - (times[from] ?? 0)) / 1000;
            if (to - from + 1 > capacity + spanS * perSecond + 1e-6)
              throw new Error(`${to - from + 1} in ${spanS} s`);
          }
        }
      },
    ),
  );
});
