import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { SprawlError } from '../contracts/errors.js';
import { withDefaults, type Config } from './config.js';
import { issueText } from './issue-text.js';
import { CONFIG_KEYS } from './key-table.js';
import { readMachine, type Machine } from './machine.js';
import { checkRelations } from './relations.js';
import { configSchema, type SchemaOutput } from './schema.js';
import {
  settingsOfEnvironment,
  settingsOfFile,
  settingsOfFlags,
  settingsOfObject,
  type FlagSetting,
  type Setting,
} from './setting.js';

/** Where values come from. What stands further down wins. */
export interface ConfigSources {
  /** The text of a YAML file; its path is only for error lines. */
  readonly file?: { readonly path: string; readonly text: string } | undefined;
  /** `SPRAWL_SECTION__KEY` variables; others are ignored. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** In the order of the command line. */
  readonly flags?: readonly FlagSetting[] | undefined;
  /** Values given by a program that embeds the gateway, in the shape of the file. */
  readonly overrides?: unknown;
  /** What defaults are scaled to. By default this machine. */
  readonly machine?: Machine | undefined;
}

export interface ResolvedConfig {
  readonly config: Config;
  /** Where each key that has a source other than its default got its value, by `section.key`. */
  readonly sources: ReadonlyMap<string, string>;
}

type Tree = { [key: string]: unknown };

function treeOf(settings: Iterable<Setting>): Tree {
  const root: Tree = {};
  for (const { key, value } of settings) {
    const path = key.name.split('.');
    const leaf = path.pop() ?? '';
    let branch = root;
    for (const part of path) branch = branchOf(branch, part);
    branch[leaf] = value;
  }
  return root;
}

function branchOf(parent: Tree, name: string): Tree {
  const child = (parent[name] ?? {}) as Tree; // Only treeOf puts anything here.
  parent[name] = child;
  return child;
}

function invalid(issue: z.core.$ZodIssue, settings: ReadonlyMap<string, Setting>): SprawlError {
  const parts = issue.path.map(String);
  const depth = parts.findIndex((_, index) => CONFIG_KEYS.has(parts.slice(0, index + 1).join('.'))) + 1;
  const name = parts.slice(0, depth === 0 ? parts.length : depth).join('.');
  const setting = settings.get(name);
  if (setting === undefined) return missing(name, settings);
  const { text, source } = issueText(issue, setting, issue.path.slice(depth));
  return new SprawlError('CONFIG_INVALID', `${text} (${source})`, {
    details: { key: name, limit: setting.key.limitText, source },
  });
}

function missing(name: string, settings: ReadonlyMap<string, Setting>): SprawlError {
  const section = name.slice(0, name.lastIndexOf('.'));
  const sibling = [...settings.values()].find((setting) => setting.key.name.startsWith(`${section}.`));
  const source = sibling?.source ?? 'default';
  return new SprawlError(
    'CONFIG_INVALID',
    `${name} is missing: ${section} cannot do without it (${source})`,
    {
      details: { key: name, source },
    },
  );
}

function parseTree(settings: ReadonlyMap<string, Setting>): SchemaOutput {
  const result = configSchema.safeParse(treeOf(settings.values()));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue === undefined) throw result.error;
  throw invalid(issue, settings);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}

/**
 * Merges the sources and checks every key and the relations between keys.
 * @throws SprawlError CONFIG_UNKNOWN_KEY, CONFIG_INVALID or LISTEN_REFUSED: one line that names key, value, limit and source.
 */
export function resolveConfig(sources: ConfigSources = {}): ResolvedConfig {
  const settings = new Map<string, Setting>();
  const given = [
    ...(sources.file === undefined ? [] : settingsOfFile(sources.file.path, sources.file.text)),
    ...settingsOfEnvironment(sources.env ?? {}),
    ...settingsOfFlags(sources.flags ?? []),
    ...settingsOfObject(sources.overrides),
  ];
  for (const setting of given) settings.set(setting.key.name, setting);
  const config = withDefaults(parseTree(settings), sources.machine ?? readMachine());
  checkRelations(config, (key) => settings.get(key)?.source ?? 'default');
  return {
    config: deepFreeze(config),
    sources: new Map([...settings.values()].map((setting) => [setting.key.name, setting.source])),
  };
}

/** As `resolveConfig`, without the sources. `parseConfig()` is the default configuration. */
export function parseConfig(sources: ConfigSources = {}): Config {
  return resolveConfig(sources).config;
}

/** Reads a configuration file; blocks. @throws SprawlError CONFIG_FILE_UNREADABLE */
export function readConfigFile(path: string): { path: string; text: string } {
  try {
    return { path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/, (open|read).*$/, '') : String(error);
    throw new SprawlError(
      'CONFIG_FILE_UNREADABLE',
      `cannot read the configuration file ${JSON.stringify(path)}: ${reason}`,
      {
        details: { path },
        cause: error,
      },
    );
  }
}
