import type { Document } from 'yaml';
import { yamlLibrary } from './yaml-library.js';
import { SprawlError } from '../contracts/errors.js';
import {
  CONFIG_KEYS,
  CONFIG_KEYS_BY_ENV,
  CONFIG_ROOT,
  CONFIG_SECTIONS,
  ENV_PREFIX,
  nearestKey,
  type ConfigKey,
  type ConfigSection,
} from './key-table.js';
import { nearest } from './nearest.js';

/** One value and where it came from, in words that find it: `sprawl.yaml:12`, `flag --mqtt-port`. */
export interface Setting {
  readonly key: ConfigKey;
  readonly value: unknown;
  readonly source: string;
  /** Where a part inside the value stands, e.g. `[2, 'topic']` of a list. */
  readonly sourceOf?: (inner: readonly PropertyKey[]) => string;
  /** How the value, or a part inside it, is written in the file, where that is one word or number. */
  readonly writtenAt?: (inner: readonly PropertyKey[]) => string | undefined;
}

/** A key given on the command line, by its own flag or by `--set`. */
export interface FlagSetting {
  /** As the user wrote it: `--mqtt-port`, `--set`. */
  readonly flag: string;
  /** `section.key`. */
  readonly key: string;
  readonly text: string;
}

/** What is known of the place of a value. */
interface Origin {
  locate(path: readonly PropertyKey[]): string;
  writtenAt?(path: readonly PropertyKey[]): string | undefined;
}

type Locate = Origin['locate'];

/** How much of a value an error line shows. */
const SHOWN_MAX_CHARS = 60;

/** A value as error lines show it: as JSON, cut, and never a secret. */
export function shown(value: unknown, secret = false): string {
  if (secret) return '***';
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= SHOWN_MAX_CHARS ? text : `${text.slice(0, SHOWN_MAX_CHARS)}…`;
}

function unknownKey(name: string, source: string, suggestion: string | undefined): SprawlError {
  let wayOut = '"sprawl-edge config show" lists every key';
  // All of it as one word, where it is to be nested.
  if (suggestion === name) wayOut = 'each level has a line of its own, as in "sprawl-edge config show"';
  else if (suggestion !== undefined) wayOut = `did you mean ${suggestion}?`;
  return new SprawlError('CONFIG_UNKNOWN_KEY', `unknown key ${shown(name)} (${source}): ${wayOut}`, {
    details: { key: name, source, suggestion },
  });
}

/** A section where a key is wanted. */
function notAKey(section: ConfigSection, source: string): SprawlError {
  const examples = [...section.children.values()].slice(0, 2).map(({ name }) => name);
  return new SprawlError(
    'CONFIG_UNKNOWN_KEY',
    `${shown(section.name)} is a section (${source}): it takes one of its keys, such as ${examples.join(' or ')}; "sprawl-edge config show" lists every key`,
    { details: { key: section.name, source } },
  );
}

function notASection(section: ConfigSection, value: unknown, source: string): SprawlError {
  const example = [...section.children.values()][0]?.name ?? section.name;
  const name = section.name === '' ? 'the configuration' : section.name;
  return new SprawlError(
    'CONFIG_INVALID',
    `${name}: ${shown(value)} is not a section: it must hold keys such as ${example} (${source})`,
    { details: { key: section.name, source } },
  );
}

function settingsUnder(
  section: ConfigSection,
  value: unknown,
  path: readonly string[],
  origin: Origin,
): Setting[] {
  const { locate } = origin;
  if (value === null || value === undefined) return [];
  if (typeof value !== 'object' || Array.isArray(value)) throw notASection(section, value, locate(path));
  return Object.entries(value).flatMap(([name, child]): Setting[] => {
    const childPath = [...path, name];
    const entry = section.children.get(name);
    if (entry === undefined) {
      const full = childPath.join('.');
      throw unknownKey(full, locate(childPath), nearestKey(full));
    }
    if (entry.kind === 'section') return settingsUnder(entry, child, childPath, origin);
    if (child === undefined) return [];
    const sourceOf = (inner: readonly PropertyKey[]): string => locate([...childPath, ...inner]);
    const writtenAt = (inner: readonly PropertyKey[]): string | undefined =>
      origin.writtenAt?.([...childPath, ...inner]);
    return [{ key: entry, value: child, source: locate(childPath), sourceOf, writtenAt }];
  });
}

/** Values given by a program, in the shape of the file. @throws SprawlError CONFIG_UNKNOWN_KEY, CONFIG_INVALID */
export function settingsOfObject(value: unknown): Setting[] {
  return settingsUnder(CONFIG_ROOT, value, [], { locate: () => 'given by the program' });
}

/** The offset at which the deepest part of `path` that stands in the document begins. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  const { isAlias, isMap, isNode, isPair, isScalar, isSeq } = yamlLibrary();
  let node: unknown = document.contents;
  let offset = 0;
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node)) {
      node = node.items[Number(part)];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
      continue;
    }
    if (!isMap(node)) return offset;
    const pair = node.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part),
    );
    if (pair === undefined) return offset;
    if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
    node = pair.value;
  }
  return offset;
}

/** Values of a YAML file. @throws SprawlError CONFIG_UNKNOWN_KEY, CONFIG_INVALID, each with file and line. */
export function settingsOfFile(path: string, text: string): Setting[] {
  const { isScalar, LineCounter, parseDocument } = yamlLibrary();
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const fault = document.errors[0];
  if (fault !== undefined) {
    const { line } = lines.linePos(fault.pos[0]);
    const reason =
      fault.code === 'MULTIPLE_DOCS'
        ? 'it has several documents (---); put all keys into one'
        : (fault.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '');
    const source = `${path}:${line}`;
    throw new SprawlError('CONFIG_INVALID', `not readable as YAML: ${reason} (${source})`, {
      details: { source },
    });
  }
  const locate: Locate = (at) => `${path}:${lines.linePos(offsetOf(document, at)).line}`;
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SprawlError('CONFIG_INVALID', `not readable as YAML: ${reason} (${path})`, { cause: error });
  }
  const writtenAt = (at: readonly PropertyKey[]): string | undefined => {
    const node: unknown = document.getIn(at, true);
    return isScalar(node) ? node.source : undefined;
  };
  return settingsUnder(CONFIG_ROOT, value, [], { locate, writtenAt });
}

function valueOf(key: ConfigKey, text: string): unknown {
  switch (key.reading) {
    case 'text':
      return text;
    case 'scalar':
      if (text === 'true' || text === 'false') return text === 'true';
      return /^-?\d+$/.test(text) ? Number(text) : text;
    case 'list':
      return listOf(text);
  }
}

/** The first of a list is an address such as `[::1]:4430`. No JSON begins so. */
const BRACKETED_ADDRESS = /^\s*\[[^[\]"]+\]:/;

function listOf(text: string): unknown {
  if (!/^\s*[[{]/.test(text) || BRACKETED_ADDRESS.test(text))
    return text.split(',').map((item) => item.trim());
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Variables of other commands, which are no keys. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set(['SPRAWL_PASSWORD', 'SPRAWL_SWARM_KEY']);

/**
 * Values of `SPRAWL_SECTION__KEY` variables. A variable that has the prefix but neither `__` nor nearly the name of a key
 * is left alone: platforms set such ones, e.g. SPRAWL_EDGE_SERVICE_HOST for a Kubernetes service called sprawl-edge.
 * @throws SprawlError CONFIG_UNKNOWN_KEY
 */
export function settingsOfEnvironment(env: Readonly<Record<string, string | undefined>>): Setting[] {
  return Object.entries(env).flatMap(([name, text]): Setting[] => {
    if (!name.startsWith(ENV_PREFIX) || text === undefined || OTHER_VARIABLES.has(name)) return [];
    const key = CONFIG_KEYS_BY_ENV.get(name);
    const source = `environment variable ${name}`;
    if (key !== undefined) return [{ key, value: valueOf(key, text), source }];
    const suggestion = nearest(name, CONFIG_KEYS_BY_ENV.keys());
    if (suggestion === undefined && !name.includes('__')) return [];
    throw unknownKey(name, 'environment variable', suggestion);
  });
}

/** Values of flags, in their order. @throws SprawlError CONFIG_UNKNOWN_KEY */
export function settingsOfFlags(flags: readonly FlagSetting[]): Setting[] {
  return flags.map(({ flag, key: name, text }): Setting => {
    const key = CONFIG_KEYS.get(name);
    const section = CONFIG_SECTIONS.get(name);
    if (section !== undefined) throw notAKey(section, `flag ${flag}`);
    if (key === undefined) throw unknownKey(name, `flag ${flag}`, nearestKey(name));
    return { key, value: valueOf(key, text), source: `flag ${flag}` };
  });
}
