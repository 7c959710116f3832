import { CONFIG_ROOT, type ConfigKey, type ConfigSection } from './key-table.js';
import type { ResolvedConfig } from './parse.js';
import { yamlLibrary } from './yaml-library.js';

function childOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function keyLine(
  indent: string,
  name: string,
  key: ConfigKey,
  value: unknown,
  source: string | undefined,
): string {
  if (value === undefined) return `${indent}# ${name}: not set (${key.defaultText})`;
  const { stringify } = yamlLibrary();
  const text = key.secret ? "'***'" : stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();
  return `${indent}${name}: ${text} # ${source ?? 'default'}`;
}

function sectionLines(
  section: ConfigSection,
  value: unknown,
  resolved: ResolvedConfig,
  indent: string,
): string[] {
  return [...section.children].flatMap(([name, entry]) => {
    const child = childOf(value, name);
    if (entry.kind === 'key') return [keyLine(indent, name, entry, child, resolved.sources.get(entry.name))];
    if (child === undefined) return [`${indent}# ${name}: not set`];
    return [`${indent}${name}:`, ...sectionLines(entry, child, resolved, `${indent}  `)];
  });
}

/** The effective configuration as YAML; each line says where its value came from. Secrets are masked. */
export function renderConfig(resolved: ResolvedConfig, root: ConfigSection = CONFIG_ROOT): string {
  return `${sectionLines(root, resolved.config, resolved, '').join('\n')}\n`;
}
