import type { Directive } from './directive.js';
import { reachOf } from './listener.js';
import type { ListenerAddresses } from './listener-address.js';
import type { ListenerChoice } from './listener-choice.js';
import type { JudgedLine, SettingValue } from './outcome.js';
import type { SecurityChoice } from './security-lines.js';

/** A value, and what it was made from. */
export interface PlannedSetting {
  readonly value: SettingValue;
  readonly from: Directive | string;
}

/** Of several lines the one whose value stands first here holds; of other names the last one. */
const FIRST_OF: Readonly<Record<string, readonly SettingValue[]>> = {
  // mosquitto writes what any of them asks for.
  log_type: ['debug', 'info', 'warn', 'error', 'silent'],
  // No listener may take older versions than before.
  tls_version: ['TLSv1.3', 'TLSv1.2'],
};

function merged(name: string, before: SettingValue | undefined, value: SettingValue): SettingValue {
  return FIRST_OF[name]?.find((each) => each === before || each === value) ?? value;
}

/** The values of all lines that are taken over. */
export function withSettings(lines: readonly JudgedLine[]): Map<string, PlannedSetting> {
  const settings = new Map<string, PlannedSetting>();
  // What is written nowhere needs no level, whatever the other lines say.
  const isDestination = ({ directive }: JudgedLine): boolean => directive.name === 'log_dest';
  const ordered = [...lines.filter((line) => !isDestination(line)), ...lines.filter(isDestination)];
  for (const { directive, outcome } of ordered) {
    if (outcome.kind !== 'taken') continue;
    for (const [key, value] of Object.entries(outcome.settings)) {
      const before = settings.get(key);
      const wanted = merged(directive.name, before?.value, value);
      if (before?.value !== wanted) settings.set(key, { value: wanted, from: directive });
    }
  }
  return settings;
}

const PACKET_DEFAULT_BYTES = 1_048_576;
const SESSIONS_DEFAULT_COUNT = 100_000;
const HTTP_DEFAULT_PORT = 8880;
const LOCAL_DEFAULT = 'no listener in the file: this machine only, as mosquitto does it';

export interface Choices {
  readonly addresses: ListenerAddresses;
  readonly choice: ListenerChoice;
  readonly security: SecurityChoice;
}

/** Adds what mosquitto leaves unsaid and our defaults say otherwise, and keeps the relations between keys that `config check` looks at. */
export function fitted(
  given: ReadonlyMap<string, PlannedSetting>,
  { addresses, choice, security }: Choices,
): Map<string, PlannedSetting> {
  const settings = new Map(given);
  const add = (key: string, value: SettingValue, why: string): void => {
    if (!settings.has(key)) settings.set(key, { value, from: why });
  };
  const valueOf = (key: string): SettingValue | undefined => settings.get(key)?.value;
  for (const { key, host, heldBack } of [addresses.common, addresses.tls])
    add(key, host, heldBack ?? (reachOf(host) === 0 ? LOCAL_DEFAULT : 'the default of mosquitto'));
  for (const kind of ['mqtt', 'ws', 'tls', 'wss'] as const) {
    const listener = choice.taken.get(kind);
    if (listener !== undefined) add(`listeners.${kind}Port`, listener.port, 'the default of mosquitto');
    else if (kind === 'mqtt' || kind === 'ws' || valueOf('listeners.tls.certFile') !== undefined)
      add(`listeners.${kind}Port`, false, 'no such listener in the file');
  }
  if (choice.taken.size === 0)
    settings.set('listeners.mqttPort', {
      value: 1883,
      from: 'no listener could be taken over: this one is for this machine',
    });
  add('security.allowAnonymous', security.allowAnonymous, 'the default of mosquitto here');
  const ports = [...choice.taken.values()].map(({ port }) => port);
  if (ports.includes(HTTP_DEFAULT_PORT)) {
    const free = [1, 2, 3, 4].map((step) => HTTP_DEFAULT_PORT + step).find((port) => !ports.includes(port));
    add('http.port', free ?? false, `${HTTP_DEFAULT_PORT} is a listener's`);
  }
  const packetMaxBytes = Number(valueOf('mqtt.packetMaxBytes') ?? PACKET_DEFAULT_BYTES);
  if (Number(valueOf('delivery.clientQueueMaxBytes') ?? packetMaxBytes) < packetMaxBytes)
    settings.set('delivery.clientQueueMaxBytes', {
      value: packetMaxBytes,
      from: 'more than max_queued_bytes: a queue holds at least one packet of mqtt.packetMaxBytes',
    });
  const connectionsMax = Number(valueOf('limits.connectionsMax') ?? 0);
  if (connectionsMax > SESSIONS_DEFAULT_COUNT)
    add('limits.sessionsMax', connectionsMax, 'each connection has a session');
  return settings;
}
