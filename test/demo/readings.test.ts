import { readFileSync } from 'node:fs';
import t from 'tap';
import { FILE, make, readReadings } from './readings.js';

t.test('the data set is what its rules make', async (t) => {
  t.equal(readFileSync(FILE, 'utf8'), make());
});

t.test('three hundred sensors measure for half a minute', async (t) => {
  const readings = readReadings();
  t.equal(readings.length, 9000);
  t.equal(new Set(readings.map(({ device }) => device)).size, 300);
  t.equal(new Set(readings.map(({ device, second }) => `${device} ${second}`)).size, 9000);
});

t.test('a line that is no reading is named', async (t) => {
  const [head, first] = make().split('\n');
  t.throws(() => readReadings('site,device\n'), /begins with site,device, and not with/);
  for (const line of ['plant,a,b,x,1,C', 'moon,a,b,1,1,C', 'plant,a,b,1,1'])
    t.throws(() => readReadings(`${head}\n${first}\n${line}\n`), {
      message: new RegExp(`^line 3 .*${line}`),
    });
});
