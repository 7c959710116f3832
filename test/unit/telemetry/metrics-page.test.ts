import { readFile } from 'node:fs/promises';
import t from 'tap';
import type { ArchivesStatus } from '../../../lib/contracts/archive-status.js';
import { createCounters, renderPrometheus, SYS_TOPICS } from '../../../lib/telemetry/index.js';
import { formatLabels, INFOS } from '../../../lib/telemetry/prometheus.js';
import { ARCHIVE_METRICS, SERVED_METRICS } from '../../../lib/telemetry/archive-metrics.js';
import { MESH_METRICS } from '../../../lib/telemetry/mesh-metrics.js';
import { createMeshStatus } from './mesh-view.js';
import { parseExposition } from './exposition.js';
import { createView } from './view.js';

const PAGE = new URL('../../../../docs/metrics.md', import.meta.url);
const SYS_HEADING = '## The topics of `$SYS/broker`';
const MESH_HEADING = '\n## The mesh\n';
const ARCHIVE_HEADING = '\n## The archive\n';
/** Families whose every row says what to do about it. */
const WITH_REMEDY = /dropped|refused|disconnects/;

interface Row {
  readonly key: string;
  readonly cells: readonly string[];
}

/** Rows whose first cell is code: under a heading `family{label}` as series of that family, else as they stand. */
function parseRows(page: string): Row[] {
  const rows: Row[] = [];
  let family: { name: string; label: string } | undefined;
  for (const line of page.split('\n')) {
    if (line.startsWith('#')) {
      const [, name, label] = /^### `([a-z_]+)\{([a-z]+)\}`$/.exec(line) ?? [];
      family = name === undefined || label === undefined ? undefined : { name, label };
    }
    const [, first, rest = ''] = /^\| `([^`]+)` *\|(.*)\|$/.exec(line) ?? [];
    if (first === undefined || first === family?.label) continue;
    const key = family === undefined ? first : family.name + formatLabels({ [family.label]: first });
    rows.push({ key, cells: rest.split('|').map((cell) => cell.trim()) });
  }
  return rows;
}

const ARCHIVE_STATUS: ArchivesStatus = {
  ...{ copy: null, through: null },
  standby: [
    {
      ...{ gateway: 'ab'.repeat(32), site: 'mill', state: 'apart', reason: 'no link' },
      ...{ archivedUpTo: 11, keptUpTo: 13, head: 15, bytes: 17, heldBytes: 19, maxBytes: 21, rows: 23 },
    },
    {
      ...{ gateway: 'quarry', site: '', state: 'incomplete', reason: 'not met' },
      ...{ archivedUpTo: null, keptUpTo: null, head: null, bytes: 0, heldBytes: 0, maxBytes: 21, rows: 0 },
    },
  ],
  ...{ target: 'file:///a', state: 'failing', reason: 'no', retryAtMs: 1, failures: 2, tip: null },
  backlog: { positions: 3, bytes: 5, maxBytes: 7, ageS: 9, whenFull: 'refuse', isFull: false },
  ...{ entries: 1, rows: 2, bytes: 3, objects: 4, dropped: 5 },
};

const SERVED_STATUS = { target: 'file:///a', done: 3, failed: 2, refused: 1, bytes: 9 };

const [beforeSys = '', sysPart = ''] = (await readFile(PAGE, 'utf8')).split(SYS_HEADING);
const [metricsPart = '', afterMesh = ''] = beforeSys.split(MESH_HEADING);
const [meshPart = '', archivePart = ''] = afterMesh.split(ARCHIVE_HEADING);

t.test('the page explains every metric and every reason, each once, and nothing else', (t) => {
  const families = parseExposition(renderPrometheus(createView(), createCounters()));
  const shown = [...families.values()].flatMap(({ samples }) =>
    samples.map(({ name, labels }) => (name in INFOS ? name : name + formatLabels(labels))),
  );
  const rows = parseRows(metricsPart);
  t.strictSame(rows.map(({ key }) => key).sort(), shown.sort());
  for (const { key, cells } of rows) {
    t.ok(
      cells.every((cell) => cell.length > 5),
      `${key}: no cell is empty`,
    );
    const labelled = key.includes('{') && WITH_REMEDY.test(key);
    t.equal(cells.length, labelled ? 2 : 1, `${key}: what it means${labelled ? ' and what to do' : ''}`);
  }
  t.end();
});

t.test('the page explains every metric of the mesh, and every value of its labels', (t) => {
  const status = createMeshStatus();
  const words = new Set<string>();
  for (const { samples } of MESH_METRICS) {
    for (const { labels } of samples(status)) {
      const { gateway: _gateway, site: _site, ...closed } = labels;
      for (const [label, value] of Object.entries(closed)) words.add(label).add(value);
    }
  }
  t.strictSame(
    parseRows(meshPart)
      .map(({ key }) => key)
      .sort(),
    [...MESH_METRICS.map(({ name }) => name), ...words].sort(),
  );
  t.match(meshPart, '`$SYS/broker/connection/<site>.<id>/state`');
  t.end();
});

t.test('the page explains every metric of the archive, and every state', (t) => {
  const words = new Set(ARCHIVE_METRICS.map(({ name }) => name));
  for (const { samples } of ARCHIVE_METRICS)
    for (const { labels } of samples(ARCHIVE_STATUS)) {
      const { gateway: _gateway, ...closed } = labels;
      for (const [label, value] of Object.entries(closed)) words.add(label).add(value);
    }
  words.add('copy');
  for (const { name, samples } of SERVED_METRICS) {
    words.add(name);
    for (const { labels } of samples(SERVED_STATUS))
      for (const [label, value] of Object.entries(labels)) words.add(label).add(value);
  }
  t.strictSame(
    parseRows(archivePart)
      .map(({ key }) => key)
      .sort(),
    [...words].sort(),
  );
  const page = renderPrometheus(createView(), createCounters(), undefined, ARCHIVE_STATUS, SERVED_STATUS);
  t.match(page, /^sprawl_archive_served_requests_total\{result="failed"\} 2$/m);
  t.match(page, /^sprawl_archive_served_bytes_total 9$/m);
  t.match(page, /^sprawl_archive_state\{target="first",state="failing"\} 1$/m);
  t.match(page, /^sprawl_archive_backlog_bytes\{target="first"\} 5$/m);
  t.match(page, /^sprawl_archive_standby_state\{gateway="(ab){32}",state="apart"\} 1$/m);
  t.match(page, /^sprawl_archive_standby_kept_position\{gateway="(ab){32}"\} 13$/m);
  t.notMatch(
    page,
    /^sprawl_archive_standby_kept_position\{gateway="quarry"\}/m,
    'what is not known is not shown',
  );
  t.end();
});

t.test('the page explains every topic of $SYS and no other', (t) => {
  const topics = SYS_TOPICS.map((topic) =>
    topic.replace('$SYS/broker/', '').replace(/^(load\/.*\/)[^/]+$/, '$1+'),
  );
  const rows = parseRows(sysPart);
  t.strictSame(rows.map(({ key }) => key).sort(), [...new Set(topics)].sort());
  t.end();
});
