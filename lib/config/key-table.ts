import { z } from 'zod';
import { nearest } from './nearest.js';
import { configSchema } from './schema.js';

/** The part of JSON Schema that zod writes for our schema, with our own notes (see field.ts). */
export interface JsonSchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchemaNode>>;
  /** Of each element of a list. */
  readonly items?: JsonSchemaNode;
  readonly anyOf?: readonly JsonSchemaNode[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly description?: string;
  readonly defaultText?: string;
  readonly limitText?: string;
  readonly writeOnly?: boolean;
}

/** One key that holds a value. */
export interface ConfigKey {
  readonly kind: 'key';
  /** `section.key`, as in the file. */
  readonly name: string;
  /** `SPRAWL_SECTION__KEY`. */
  readonly envName: string;
  readonly description: string;
  /** The legal values in words: `a whole number from 1 to 65535`. */
  readonly limitText: string;
  readonly defaultText: string;
  readonly secret: boolean;
  /** How the text of an environment variable or a flag becomes a value. */
  readonly reading: KeyReading;
}

/** `text`: as it is; `list`: JSON, or separated by commas; `scalar`: a whole number, true or false. */
export type KeyReading = 'text' | 'list' | 'scalar';

/** A map of keys. */
export interface ConfigSection {
  readonly kind: 'section';
  /** Empty for the root. */
  readonly name: string;
  readonly description: string;
  readonly children: ReadonlyMap<string, ConfigKey | ConfigSection>;
}

export const ENV_PREFIX = 'SPRAWL_';

/** `['listeners', 'mqttPort']` becomes `SPRAWL_LISTENERS__MQTT_PORT`. */
function envNameOf(path: readonly string[]): string {
  const levels = path.map((part) => part.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase());
  return ENV_PREFIX + levels.join('__');
}

function limitOf(schema: JsonSchemaNode): string {
  if (schema.limitText !== undefined) return schema.limitText;
  if (schema.anyOf !== undefined) return schema.anyOf.map(limitOf).join(' or ');
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  switch (schema.type) {
    case 'integer':
      return `a whole number from ${schema.minimum} to ${schema.maximum}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return schema.minItems === undefined ? 'a list' : 'a list, not empty';
    case 'object':
      return `a section with keys such as ${Object.keys(schema.properties ?? {})
        .slice(0, 3)
        .join(', ')}`;
    default:
      return schema.minLength === undefined ? 'a text' : 'a text, not empty';
  }
}

function entryOf(path: readonly string[], schema: JsonSchemaNode): ConfigKey | ConfigSection {
  const name = path.join('.');
  const description = schema.description ?? '';
  if (schema.properties !== undefined) {
    const children = Object.entries(schema.properties).map(
      ([key, child]) => [key, entryOf([...path, key], child)] as const,
    );
    return { kind: 'section', name, description, children: new Map(children) };
  }
  return {
    kind: 'key',
    name,
    envName: envNameOf(path),
    description,
    limitText: limitOf(schema),
    defaultText:
      schema.defaultText ?? (schema.default === undefined ? 'required' : JSON.stringify(schema.default)),
    secret: schema.writeOnly === true,
    reading: schema.type === 'string' ? 'text' : schema.type === 'array' ? 'list' : 'scalar',
  };
}

function parseRoot(schema: unknown): ConfigSection {
  const root = entryOf([], schema as JsonSchemaNode);
  if (root.kind !== 'section') throw new TypeError('the configuration schema must be an object');
  return root;
}

/** The JSON Schema of the configuration file (draft 2020-12), for editors and other tools. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  return { title: 'Sprawl Edge configuration', ...z.toJSONSchema(configSchema, { io: 'input' }) };
}

const CONFIG_SCHEMA = configJsonSchema();

export const CONFIG_ROOT: ConfigSection = parseRoot(CONFIG_SCHEMA);

/** The schema of a part of a value. @param inner where the part stands in the value of the key */
function schemaAt(key: string, inner: readonly PropertyKey[]): JsonSchemaNode | undefined {
  return [...key.split('.'), ...inner].reduce<JsonSchemaNode | undefined>(
    (schema, part) => (typeof part === 'number' ? schema?.items : schema?.properties?.[String(part)]),
    CONFIG_SCHEMA,
  );
}

/** The legal values of a part of a value in words. @param inner where the part stands in the value of the key */
export function limitAt(key: string, inner: readonly PropertyKey[]): string {
  return limitOf(schemaAt(key, inner) ?? {});
}

/** The keys that a part of a value may have. @param inner where the part stands in the value of the key */
export function namesAt(key: string, inner: readonly PropertyKey[]): readonly string[] {
  return Object.keys(schemaAt(key, inner)?.properties ?? {});
}

function keysUnder(section: ConfigSection): ConfigKey[] {
  return [...section.children.values()].flatMap((child) =>
    child.kind === 'key' ? [child] : keysUnder(child),
  );
}

/** Every key in the order of the schema, by its name. */
export const CONFIG_KEYS: ReadonlyMap<string, ConfigKey> = new Map(
  keysUnder(CONFIG_ROOT).map((key) => [key.name, key]),
);

/** Every key by the name of its environment variable. */
export const CONFIG_KEYS_BY_ENV: ReadonlyMap<string, ConfigKey> = new Map(
  [...CONFIG_KEYS.values()].map((key) => [key.envName, key]),
);

const sectionsUnder = (section: ConfigSection): ConfigSection[] =>
  [...section.children.values()].flatMap((child) =>
    child.kind === 'section' ? [child, ...sectionsUnder(child)] : [],
  );

/** Every section by its name. */
export const CONFIG_SECTIONS: ReadonlyMap<string, ConfigSection> = new Map(
  sectionsUnder(CONFIG_ROOT).map((section) => [section.name, section]),
);

/** The key or section that the unknown `name` was probably meant to be: nearly the same name, or the same key elsewhere. */
export function nearestKey(name: string): string | undefined {
  const names = [...CONFIG_KEYS.keys(), ...CONFIG_SECTIONS.keys()];
  const leafOf = (full: string): string => full.slice(full.lastIndexOf('.') + 1);
  const near = nearest(name, names);
  if (near !== undefined) return near;
  const leaf = nearest(leafOf(name), [...CONFIG_KEYS.keys()].map(leafOf));
  return leaf === undefined ? undefined : names.find((full) => leafOf(full) === leaf);
}
