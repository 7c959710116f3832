/**
 * The text exposition format of Prometheus, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
import type { ArchivesStatus, ServedStatus } from '../contracts/archive-status.js';
import type { MeshStatus } from '../contracts/mesh-status.js';
import { ARCHIVE_METRICS, SERVED_METRICS } from './archive-metrics.js';
import type { Family } from './family.js';
import { MESH_METRICS } from './mesh-metrics.js';
import { COUNTER_NAMES, type Counters, definitionOf } from './counters.js';
import { GAUGE_NAMES, type GatewayView, gaugeDefinitionOf } from './gauges.js';

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const PREFIX = 'sprawl_';

type Labels = Readonly<Record<string, string>>;

/** `{a="1",b="2"}`, or nothing for no labels. */
export function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapedLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapedLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function escapedHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

export function formatValue(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

function header(name: string, type: string, help: string): string {
  return `# HELP ${name} ${escapedHelp(help)}\n# TYPE ${name} ${type}\n`;
}

interface CounterSample {
  readonly index: number;
  /** Everything before the value; the first sample of a family brings its HELP and TYPE. */
  readonly text: string;
}

/** A family's lines stand together, wherever its counters stand in their table. */
function layOutCounters(): readonly CounterSample[] {
  const families = new Map<string, { head: string; samples: { index: number; text: string }[] }>();
  COUNTER_NAMES.forEach((counter, index) => {
    const { name, labels, help } = definitionOf(counter);
    const full = PREFIX + name;
    let family = families.get(full);
    if (family === undefined) {
      family = { head: header(full, 'counter', help), samples: [] };
      families.set(full, family);
    }
    family.samples.push({ index, text: `${full}${formatLabels(labels ?? {})} ` });
  });
  return [...families.values()].flatMap(({ head, samples }) =>
    samples.map(({ index, text }, position) => ({ index, text: position === 0 ? head + text : text })),
  );
}

const COUNTER_SAMPLES = layOutCounters();

function gaugeLines(view: GatewayView): string {
  let text = '';
  for (const gauge of GAUGE_NAMES) {
    const { name, type = 'gauge', help } = gaugeDefinitionOf(gauge);
    text += `${header(name, type, help)}${name} ${formatValue(view[gauge])}\n`;
  }
  return text;
}

/** Facts that are text: a sample of value 1 whose labels say them. */
export const INFOS = {
  sprawl_build_info: {
    help: 'Version of the gateway and of Node.js.',
    labels: (view: GatewayView): Labels => ({ version: view.version, node: view.nodeVersion }),
  },
  sprawl_storage_info: {
    help: 'How far an acknowledgement reaches: memory, disk, replicated.',
    labels: (view: GatewayView): Labels => ({ level: view.storageLevel }),
  },
} as const;

function infoLines(view: GatewayView): string {
  let text = '';
  for (const [name, { help, labels }] of Object.entries(INFOS)) {
    text += `${header(name, 'gauge', help)}${name}${formatLabels(labels(view))} 1\n`;
  }
  return text;
}

function familyLines<S>(families: readonly Family<S>[], status: S): string {
  let text = '';
  for (const { name, type, help, samples } of families) {
    const shown = samples(status);
    if (shown.length > 0) text += header(name, type, help);
    for (const { labels, value } of shown) text += `${name}${formatLabels(labels)} ${formatValue(value)}\n`;
  }
  return text;
}

/** All counters and gauges as the body of an answer to a scrape. @param mesh of a gateway that is in one @param archive of one that archives @param served of one that does so for others */
export function renderPrometheus(
  view: GatewayView,
  counters: Counters,
  mesh?: MeshStatus,
  archive?: ArchivesStatus,
  served?: ServedStatus,
): string {
  let text = infoLines(view);
  for (const { index, text: before } of COUNTER_SAMPLES) {
    text += `${before}${formatValue(counters[index] ?? 0)}\n`;
  }
  text += gaugeLines(view);
  if (mesh !== undefined) text += familyLines(MESH_METRICS, mesh);
  if (archive !== undefined) text += familyLines(ARCHIVE_METRICS, archive);
  if (served !== undefined) text += familyLines(SERVED_METRICS, served);
  return text;
}
