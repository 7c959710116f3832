import type { z } from 'zod';
import { limitAt, namesAt } from './key-table.js';
import { nearest } from './nearest.js';
import { shown, type Setting } from './setting.js';

type Issue = z.core.$ZodIssue;

/** What the schema has against a value, in the words of an error line, and where the part that is meant stands. */
export interface IssueText {
  readonly text: string;
  readonly source: string;
}

function innerName(name: string, inner: readonly PropertyKey[]): string {
  return inner.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : `${text}.${String(part)}`),
    name,
  );
}

function partOf(value: unknown, inner: readonly PropertyKey[]): unknown {
  return inner.reduce<unknown>(
    (part, name) => (typeof part === 'object' && part !== null ? Reflect.get(part, name) : undefined),
    value,
  );
}

/** What to write instead, where only quotes or brackets are missing. @param written how the value stands in the file */
function correction(issue: Issue, value: unknown, written: string | undefined, secret: boolean): string {
  if (issue.code !== 'invalid_type') return '';
  if (issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean'))
    return secret
      ? '; put it in quotes, which make it a text'
      : `; as a text: write ${JSON.stringify(written ?? String(value))}`;
  if (issue.expected === 'array' && typeof value === 'string' && !secret && !/^\s*[[{]/.test(value))
    return `; as a list: write ${shown([value])}`;
  return '';
}

/** @param inner where the part that is meant stands in the value of the setting; empty: all of it */
export function issueText(issue: Issue, setting: Setting, inner: readonly PropertyKey[]): IssueText {
  const { key } = setting;
  const name = innerName(key.name, inner);
  const sourceAt = (path: readonly PropertyKey[]): string => setting.sourceOf?.(path) ?? setting.source;
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys[0] ?? '';
    const known = namesAt(key.name, inner);
    const near = nearest(unknown, known);
    const wayOut = near === undefined ? `it takes ${known.join(', ')}` : `did you mean ${near}?`;
    const source = sourceAt([...inner, unknown]);
    return { text: `${name}: unknown key ${shown(unknown)}: ${wayOut}`, source };
  }
  const value = partOf(setting.value, inner);
  const said = `${name}: ${shown(value, key.secret)}`;
  const source = inner.length === 0 ? setting.source : sourceAt(inner);
  if (inner.length > 0 && issue.code === 'custom') return { text: `${said} ${issue.message}`, source };
  const wayOut = correction(issue, value, setting.writtenAt?.(inner), key.secret);
  return { text: `${said} is not allowed: it must be ${limitAt(key.name, inner)}${wayOut}`, source };
}
