import { yamlLibrary } from '../../config/yaml-library.js';
import { CONFIG_KEYS } from '../../config/index.js';
import { placeOf, shownDirective } from './directive.js';
import type { PlannedSetting } from './fitting.js';
import { type JudgedLine, outcomeText } from './outcome.js';
import type { Plan } from './plan.js';

/** Said in every file: what mosquitto does otherwise although no line says so. */
const OTHER_DEFAULTS: readonly { readonly unless: readonly string[]; readonly text: string }[] = [
  {
    unless: ['mqtt.packetMaxBytes'],
    text: 'mqtt.packetMaxBytes is 1 MiB; mosquitto takes messages of up to 256 MiB',
  },
  {
    unless: ['mqtt.sessionExpiryMaxS'],
    text: 'mqtt.sessionExpiryMaxS is a week; mosquitto keeps sessions for ever',
  },
  {
    unless: ['delivery.clientQueueMaxCount'],
    text: 'delivery.clientQueueMaxCount is 1000000 on a disk; 1000 messages wait for a client of mosquitto',
  },
  { unless: ['storage.durability'], text: 'storage.durability is disk; mosquitto keeps all in memory' },
  {
    unless: [],
    text: 'mqtt.connectMaxBytes is 16384, the will included, and mqtt.clientIdMaxBytes 256; mosquitto takes longer wills and client ids',
  },
  { unless: [], text: 'shared subscriptions get no retained messages; those of mosquitto do' },
  {
    unless: [],
    text: 'mqtt.topicMaxLevels is 16, mqtt.topicMaxBytes 512, limits.subscriptionsPerClientMax 100; mosquitto allows 200 levels, 65535 bytes, and any number',
  },
];

function keyLines(settings: ReadonlyMap<string, PlannedSetting>, section: string, indent: string): string[] {
  const prefix = section === '' ? '' : `${section}.`;
  const within = [...settings.keys()].filter((key) => key.startsWith(prefix));
  const names = new Set(within.map((key) => key.slice(prefix.length).split('.')[0] ?? ''));
  return [...names].flatMap((name): string[] => {
    const setting = settings.get(prefix + name);
    if (setting === undefined)
      return [`${indent}${name}:`, ...keyLines(settings, prefix + name, `${indent}  `)];
    const { from, value } = setting;
    const source = typeof from === 'string' ? from : `${placeOf(from)}: ${shownDirective(from)}`;
    return [`${indent}${name}: ${scalar(value)} # ${source}`];
  });
}

function scalar(value: PlannedSetting['value']): string {
  return yamlLibrary().stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();
}

/** In the order of the reference, so that the file reads like it. */
function ordered(settings: ReadonlyMap<string, PlannedSetting>): Map<string, PlannedSetting> {
  const order = [...CONFIG_KEYS.keys()];
  return new Map([...settings].sort(([left], [right]) => order.indexOf(left) - order.indexOf(right)));
}

function block(title: string, lines: readonly JudgedLine[]): string[] {
  if (lines.length === 0) return [];
  const texts = lines.map(
    ({ directive, outcome }) =>
      `#   ${placeOf(directive)}: ${shownDirective(directive)}\n#     ${outcomeText(outcome)}`,
  );
  return ['', `# ${title}`, ...texts];
}

/** The configuration file: the keys, and as comments what became of every line. */
export function renderYaml(plan: Plan, source: string): string {
  const of = (...kinds: readonly string[]): JudgedLine[] =>
    plan.lines.filter(({ outcome }) => kinds.includes(outcome.kind));
  const defaults = OTHER_DEFAULTS.filter(({ unless }) => !unless.some((key) => plan.settings.has(key)));
  return [
    `# Made by "sprawl-edge import" from ${source}.`,
    `# Check it with "sprawl-edge config check --config FILE"; docs/moving-from-mosquitto.md has the next steps.`,
    '',
    ...keyLines(ordered(plan.settings), '', ''),
    ...block('Taken over:', of('taken')),
    ...block('Not needed:', of('not-needed')),
    ...block('Not supported:', of('unsupported', 'part')),
    ...block('Not understood:', of('not-understood')),
    '',
    '# Said by no line, and different from mosquitto:',
    ...defaults.map(({ text }) => `#   ${text}`),
    '',
  ].join('\n');
}
