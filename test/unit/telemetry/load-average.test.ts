import t from 'tap';
import { fadedAverage, LoadAverage } from '../../../lib/telemetry/load-average.js';

t.test('a steady rate is approached by 63 % in the time of the window', (t) => {
  const load = new LoadAverage(500);
  for (let second = 1; second <= 60; second++) load.update(500 + second * 10, 1);
  t.equal(load.of('1min').toFixed(2), (600 * (1 - Math.exp(-1))).toFixed(2));
  t.equal(load.of('5min').toFixed(2), (600 * (1 - Math.exp(-60 / 300))).toFixed(2));
  t.equal(load.of('15min').toFixed(2), (600 * (1 - Math.exp(-60 / 900))).toFixed(2));
  t.end();
});

t.test('an average fades when nothing happens, and the length of the steps does not matter', (t) => {
  let fine = 100;
  for (let step = 0; step < 20; step++) fine = fadedAverage(fine, 0, 1.5, 60);
  t.equal(fine.toFixed(9), fadedAverage(100, 0, 30, 60).toFixed(9));
  t.equal(fine.toFixed(2), (100 * Math.exp(-0.5)).toFixed(2));
  t.end();
});

t.test('one CONNECT in two seconds shows what mosquitto shows for it', (t) => {
  // mosquitto 2.0.11 with sys_interval 1, one client: load/connections 0.98, 0.20, 0.07.
  const load = new LoadAverage(0);
  load.update(1, 2);
  t.strictSame(
    (['1min', '5min', '15min'] as const).map((window) => load.of(window).toFixed(2)),
    ['0.98', '0.20', '0.07'],
  );
  t.end();
});
