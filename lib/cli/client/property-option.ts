import { usageError } from '../arguments.js';
import type { Invocation } from '../command.js';

/** How the text of a property becomes its value [MQTT 5, table 2-4]. */
type PropertyKind = 'flag' | 'number' | 'text' | 'binary' | 'pair';

interface PropertyDefinition {
  /** The name in MQTT.js. */
  readonly field: string;
  readonly kind: PropertyKind;
  readonly max?: number;
  readonly commands: readonly PropertyCommand[];
}

const COMMANDS = ['connect', 'publish', 'subscribe', 'unsubscribe', 'disconnect', 'will'] as const;
export type PropertyCommand = (typeof COMMANDS)[number];

const UINT16_MAX = 65_535;
const UINT32_MAX = 4_294_967_295;
const VARIABLE_MAX = 268_435_455;
const MESSAGE = ['publish', 'will'] as const;

/** Names as mosquitto_pub has them. */
const PROPERTIES: ReadonlyMap<string, PropertyDefinition> = new Map<string, PropertyDefinition>([
  ['payload-format-indicator', { field: 'payloadFormatIndicator', kind: 'flag', commands: MESSAGE }],
  [
    'message-expiry-interval',
    { field: 'messageExpiryInterval', kind: 'number', max: UINT32_MAX, commands: MESSAGE },
  ],
  ['content-type', { field: 'contentType', kind: 'text', commands: MESSAGE }],
  ['response-topic', { field: 'responseTopic', kind: 'text', commands: MESSAGE }],
  ['correlation-data', { field: 'correlationData', kind: 'binary', commands: MESSAGE }],
  ['topic-alias', { field: 'topicAlias', kind: 'number', max: UINT16_MAX, commands: ['publish'] }],
  [
    'will-delay-interval',
    { field: 'willDelayInterval', kind: 'number', max: UINT32_MAX, commands: ['will'] },
  ],
  [
    'subscription-identifier',
    { field: 'subscriptionIdentifier', kind: 'number', max: VARIABLE_MAX, commands: ['subscribe'] },
  ],
  [
    'session-expiry-interval',
    { field: 'sessionExpiryInterval', kind: 'number', max: UINT32_MAX, commands: ['connect', 'disconnect'] },
  ],
  ['receive-maximum', { field: 'receiveMaximum', kind: 'number', max: UINT16_MAX, commands: ['connect'] }],
  [
    'maximum-packet-size',
    { field: 'maximumPacketSize', kind: 'number', max: UINT32_MAX, commands: ['connect'] },
  ],
  [
    'topic-alias-maximum',
    { field: 'topicAliasMaximum', kind: 'number', max: UINT16_MAX, commands: ['connect'] },
  ],
  [
    'request-problem-information',
    { field: 'requestProblemInformation', kind: 'flag', commands: ['connect'] },
  ],
  [
    'request-response-information',
    { field: 'requestResponseInformation', kind: 'flag', commands: ['connect'] },
  ],
  ['user-property', { field: 'userProperties', kind: 'pair', commands: COMMANDS }],
]);

/** `-D COMMAND user-property NAME VALUE` has one value more than the others. */
export function extraPropertyValues(values: readonly string[]): number {
  return values[1] === 'user-property' ? 1 : 0;
}

export type PropertySet = Record<string, unknown>;
export type PropertySets = Partial<Record<PropertyCommand, PropertySet>>;

function numberOf(text: string, max: number): number | undefined {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  return value <= max ? value : undefined;
}

function valueOf({ kind, max }: PropertyDefinition, text: string): unknown {
  switch (kind) {
    case 'flag':
      return text === '0' || text === '1' ? text === '1' : undefined;
    case 'number':
      return numberOf(text, max ?? UINT32_MAX);
    case 'text':
      return text;
    case 'binary':
      return Buffer.from(text);
    case 'pair':
      return undefined;
  }
}

function addUserProperty(set: PropertySet, name: string, value: string): void {
  const all = (set['userProperties'] ?? Object.create(null)) as Record<string, string[]>; // Only put here, below.
  set['userProperties'] = all;
  (all[name] ??= []).push(value);
}

function parseCommand(text: string): PropertyCommand | undefined {
  return COMMANDS.find((command) => command === text);
}

/** The properties of every `-D`. @throws SprawlError USAGE */
export function parsePropertyOptions(invocation: Invocation): PropertySets {
  const sets: PropertySets = {};
  for (const [commandText = '', name = '', text = '', extra = ''] of invocation.tuplesOf('property')) {
    const wrong = (reason: string): Error =>
      usageError(invocation.command, `-D ${commandText} ${name}: ${reason}`);
    const command = parseCommand(commandText);
    if (command === undefined) throw wrong(`the command must be one of ${COMMANDS.join(', ')}`);
    const definition = PROPERTIES.get(name);
    const legal = [...PROPERTIES].filter(([, each]) => each.commands.includes(command)).map(([each]) => each);
    if (definition === undefined || !legal.includes(name))
      throw wrong(`${command} has the properties ${legal.join(', ')}`);
    const set = (sets[command] ??= {});
    if (definition.kind === 'pair') {
      addUserProperty(set, text, extra);
      continue;
    }
    const value = valueOf(definition, text);
    if (value === undefined) {
      throw wrong(
        `${JSON.stringify(text)} must be ${definition.kind === 'flag' ? '0 or 1' : `a whole number up to ${definition.max}`}`,
      );
    }
    set[definition.field] = value;
  }
  return sets;
}
