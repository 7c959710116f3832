import t from 'tap';
import { judge } from './short-form.js';
import { soak } from './soak/soak.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const DURATION_MS = 12_000;
const SAMPLE_EVERY_MS = 3000;

t.test('a mixed load does everything that it is to do, and samples come', async (t) => {
  const report = await soak({
    durationMs: DURATION_MS,
    sampleEveryMs: SAMPLE_EVERY_MS,
    fillTopics: 500,
    heapShares: [1],
    seed: 1,
  });
  judge(t, report);
  const { samples, heaps, counts } = report;
  for (const { length } of samples) t.equal(length, DURATION_MS / SAMPLE_EVERY_MS);
  for (const { heapBytes, codeBytes, bufferBytes, rssBytes, fileDescriptors, dataBytes } of samples.flat()) {
    t.ok(heapBytes > codeBytes && codeBytes > 1e5 && rssBytes > heapBytes + bufferBytes, 'memory');
    t.ok(fileDescriptors > 10 && dataBytes > 0, 'files');
  }
  t.equal(heaps.flat().length, samples.length);
  for (const { dataBytes, codeBytes } of heaps.flat())
    t.ok(dataBytes > 1e6 && codeBytes > 1e6, 'a heap snapshot');
  const { published, ...others } = counts;
  for (const [what, count] of [...Object.entries(others), ...Object.entries(published)])
    t.ok(count > 0, `${what}: ${count}`);
});
