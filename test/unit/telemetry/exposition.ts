/** A parser of Prometheus's text format 0.0.4 that takes nothing but what the format's page allows. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/;
const VALUE = /^(?:[+-]Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== '') {
    const [whole, name = '', value = '', end] = LABEL.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`not a label: ${rest}`);
    if (name in labels) throw new Error(`label ${name} twice`);
    labels[name] = value.replace(/\\(["\\n])/g, (_, char: string) => (char === 'n' ? '\n' : char));
    rest = rest.slice(whole.length);
    if (end === ',' && rest === '') throw new Error(`nothing after the comma: ${text}`);
  }
  return labels;
}

function parseSample(line: string): Sample {
  const [, name = '', labels, value = ''] = /^([^{ ]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (!NAME.test(name) || !VALUE.test(value)) throw new Error(`not a sample: ${line}`);
  return {
    name,
    labels: parseLabels(labels ?? ''),
    value: Number(value.replace(/^([+-])Inf$/, '$1Infinity')),
  };
}

/** @throws Error where the text is not an exposition, a family is split or a sample stands twice. */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let current: Family | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      if (families.has(name) || help !== undefined || !NAME.test(name)) throw new Error(`wrong: ${line}`);
      help = { name, text: rest };
    } else if (kind === 'TYPE') {
      if (help?.name !== name || !TYPES.includes(rest)) throw new Error(`wrong: ${line}`);
      current = { name, type: rest, help: help.text, samples: [] };
      families.set(name, current);
      help = undefined;
    } else {
      const sample = parseSample(line);
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (current?.name !== sample.name || help !== undefined) throw new Error(`outside its family: ${line}`);
      if (seen.has(key)) throw new Error(`twice: ${line}`);
      seen.add(key);
      current.samples.push(sample);
    }
  }
  for (const { name, samples } of families.values()) if (samples.length === 0) throw new Error(`no ${name}`);
  return families;
}
