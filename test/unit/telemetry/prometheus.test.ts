import t from 'tap';
import {
  COUNTER_NAMES,
  createCounters,
  definitionOf,
  GAUGE_NAMES,
  GAUGES,
  renderPrometheus,
} from '../../../lib/telemetry/index.js';
import { formatLabels, formatValue } from '../../../lib/telemetry/prometheus.js';
import { parseExposition } from './exposition.js';
import { createView } from './view.js';

/** Every counter at another value. */
function numberedCounters(): Float64Array {
  return createCounters().map((_, index) => index + 1);
}

t.test('the exposition is well-formed, and every counter shows its own value once', (t) => {
  const families = parseExposition(renderPrometheus(createView(), numberedCounters()));
  COUNTER_NAMES.forEach((counter, index) => {
    const { name, labels = {}, help } = definitionOf(counter);
    const family = families.get(`sprawl_${name}`);
    t.match(family, { type: 'counter', help }, counter);
    const samples = family?.samples.filter(
      (sample) => JSON.stringify(sample.labels) === JSON.stringify(labels),
    );
    t.strictSame(
      samples?.map(({ value }) => value),
      [index + 1],
      counter,
    );
    t.match(name, /_total$/, 'counters end in _total');
  });
  t.end();
});

t.test('every number of a view is shown under its own name, in base units', (t) => {
  const view = createView();
  const families = parseExposition(renderPrometheus(view, createCounters()));
  for (const gauge of GAUGE_NAMES) {
    const family = families.get(GAUGES[gauge].name);
    t.strictSame(family?.samples, [{ name: GAUGES[gauge].name, labels: {}, value: view[gauge] }], gauge);
  }
  const numbers = Object.entries(view).filter(([, value]) => typeof value === 'number');
  t.strictSame(numbers.map(([name]) => name).sort(), [...GAUGE_NAMES].sort(), 'no number is left out');
  t.equal(families.get('process_cpu_seconds_total')?.type, 'counter');
  t.equal(families.get('sprawl_clients_connected')?.type, 'gauge');
  t.end();
});

t.test('the build and the storage are told as labels of a sample of value 1', (t) => {
  const view = createView({ version: '1.0.0-"a\\b"\n' });
  const families = parseExposition(renderPrometheus(view, createCounters()));
  t.strictSame(families.get('sprawl_build_info')?.samples, [
    { name: 'sprawl_build_info', labels: { version: '1.0.0-"a\\b"\n', node: 'v20.0.0' }, value: 1 },
  ]);
  t.strictSame(families.get('sprawl_storage_info')?.samples, [
    { name: 'sprawl_storage_info', labels: { level: 'memory' }, value: 1 },
  ]);
  t.end();
});

t.test('label values are escaped', (t) => {
  t.equal(formatLabels({}), '');
  t.equal(formatLabels({ a: '1', b: 'x"y\\z\n' }), '{a="1",b="x\\"y\\\\z\\n"}');
  t.end();
});

t.test('values are written as the format wants them', (t) => {
  const written = [0, 1.5, 2 ** 53, 1e21, 5e-7, NaN, Infinity, -Infinity].map(formatValue);
  t.strictSame(written, ['0', '1.5', '9007199254740992', '1e+21', '5e-7', 'NaN', '+Inf', '-Inf']);
  t.end();
});

t.test('the parser of these tests refuses what is not an exposition', (t) => {
  const good = '# HELP a b\n# TYPE a counter\na 1\n';
  t.equal(parseExposition(good).size, 1);
  for (const bad of [
    good.slice(0, -1),
    good + good,
    `${good}a 2\n`,
    `${good}b 2\n`,
    'a 1\n',
    '# HELP a b\na 1\n',
    '# HELP a b\n# TYPE a counter\n',
    '# HELP a b\n# TYPE a count\na 1\n',
    `${good}\n`,
    good.replace('a 1', 'a x'),
    good.replace('a 1', 'a{x="1",} 1'),
    good.replace('a 1', 'a{x="1" y="2"} 1'),
    good.replace('a 1', 'a{x="\\t"} 1'),
    good.replace('a 1', 'a{x="1",x="2"} 1'),
  ]) {
    t.throws(() => parseExposition(bad), bad);
  }
  t.end();
});
