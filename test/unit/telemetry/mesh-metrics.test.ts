import t from 'tap';
import { createCounters, renderPrometheus } from '../../../lib/telemetry/index.js';
import { MESH_METRICS } from '../../../lib/telemetry/mesh-metrics.js';
import { type Family, parseExposition } from './exposition.js';
import { createMeshPeer, createMeshStatus } from './mesh-view.js';
import { createView } from './view.js';

function familiesOf(peers: Parameters<typeof createMeshStatus>[0]): Map<string, Family> {
  return parseExposition(renderPrometheus(createView(), createCounters(), createMeshStatus(peers)));
}

/** Of the family, with the labels that are given: name without `sprawl_mesh_`. */
function valueOf(families: Map<string, Family>, name: string, labels: Record<string, string> = {}): number[] {
  const samples = families.get(`sprawl_mesh_${name}`)?.samples ?? [];
  return samples
    .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .map(({ value }) => value);
}

t.test('each figure of a peer is in its metric, in seconds where it is a time', async (t) => {
  const families = familiesOf([createMeshPeer(7)]);
  const expected = {
    ...{ rtt_seconds: 0.0015, pending_messages: 2, pending_bytes: 300, oldest_unacknowledged_seconds: 0.04 },
    ...{ sent_messages_total: 51, received_messages_total: 60, load_ratio: 0.25 },
  };
  for (const [name, value] of Object.entries(expected)) {
    t.same(valueOf(families, name), [value], name);
    t.match(families.get(`sprawl_mesh_${name}`)?.samples[0]?.labels, {
      gateway: '07'.repeat(32),
      site: 'site-7',
    });
  }
  for (const [reason, value] of Object.entries(createMeshPeer(7).refused))
    t.same(valueOf(families, 'refused_messages_total', { reason }), [value]);
});

t.test('a link is in one state, and members are counted by what is said of them', async (t) => {
  const families = familiesOf([
    createMeshPeer(7, { state: 'relayed' }),
    createMeshPeer(8, { state: 'stalled', status: 'suspect' }),
    createMeshPeer(9, { state: 'down', status: 'left' }),
  ]);
  for (const [gateway, state] of [
    ['07', 'relayed'],
    ['08', 'stalled'],
    ['09', 'down'],
  ] as const) {
    const of = { gateway: gateway.repeat(32) };
    t.same(valueOf(families, 'link_state', { ...of, state }), [1]);
    t.equal(
      valueOf(families, 'link_state', of).reduce((sum, value) => sum + value, 0),
      1,
    );
  }
  for (const [status, count] of Object.entries({ alive: 1, suspect: 1, dead: 0, left: 1, evicted: 0 }))
    t.same(valueOf(families, 'members', { status }), [count]);
});

t.test('what is not known is not a number, and what does not wait is 0', async (t) => {
  const families = familiesOf([createMeshPeer(7, { rttMs: null, load: null, oldestUnackedMs: null })]);
  t.same(valueOf(families, 'rtt_seconds'), [NaN]);
  t.same(valueOf(families, 'load_ratio'), [NaN]);
  t.same(valueOf(families, 'oldest_unacknowledged_seconds'), [0]);
});

t.test(
  'a mesh without others, and no mesh at all, are shown without families that have no sample',
  async (t) => {
    t.same(valueOf(familiesOf([]), 'members'), [0, 0, 0, 0, 0]);
    t.notOk(familiesOf([]).has('sprawl_mesh_rtt_seconds'));
    const without = parseExposition(renderPrometheus(createView(), createCounters()));
    for (const { name } of MESH_METRICS) t.notOk(without.has(name), name);
  },
);
