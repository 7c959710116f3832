import { nearest } from '../../config/nearest.js';
import { BRIDGE, BRIDGE_OPTIONS, LOST_BRIDGE_OPTION } from './bridge-rules.js';
import type { Directive } from './directive.js';
import { fitted, type PlannedSetting, withSettings } from './fitting.js';
import { GENERAL_RULES, PLUGIN_OPTION, PLUGIN_OPTION_PREFIXES } from './general-rules.js';
import { addressesOf, addressOf } from './listener-address.js';
import { chooseListeners } from './listener-choice.js';
import { judgeListenerLine } from './listener-lines.js';
import { type JudgedLine, notNeeded, notUnderstood, type Outcome } from './outcome.js';
import { DEFAULT_LISTENER_OPTIONS, LISTENER_OPTIONS, scopeOf, SECURITY_OPTIONS } from './scope.js';
import { chooseSecurity, judgeSecurityLine } from './security-lines.js';

/** What a mosquitto.conf becomes. */
export interface Plan {
  /** Keys in the order in which they came up. */
  readonly settings: ReadonlyMap<string, PlannedSetting>;
  /** Every line, in the order of the file. */
  readonly lines: readonly JudgedLine[];
}

/** Every word that mosquitto 2.0 knows; those of plugins end in _ and go on. */
export const KNOWN_OPTIONS: readonly string[] = [
  ...Object.keys(GENERAL_RULES),
  ...DEFAULT_LISTENER_OPTIONS,
  ...LISTENER_OPTIONS,
  ...SECURITY_OPTIONS,
  ...BRIDGE_OPTIONS,
  ...PLUGIN_OPTION_PREFIXES,
  'connection',
  'include_dir',
  'listener',
].sort();

const BEFORE_LISTENERS = notNeeded(
  'with per_listener_settings it is for the default listener here, which mosquitto does not open',
);
const PLUGINS: ReadonlySet<string> = new Set(['plugin', 'auth_plugin']);

/** Decides about every line. Nothing is opened for clients that mosquitto kept out. */
export function planImport(directives: readonly Directive[]): Plan {
  const scope = scopeOf(directives);
  const choice = chooseListeners(scope);
  const listeners = [...choice.taken.values()];
  const security = chooseSecurity(listeners, scope);
  const hasPlugin = directives.some(({ name }) => PLUGINS.has(name));
  const addresses = addressesOf(choice, { hasPlugin, security, scope });

  const judge = (directive: Directive): Outcome => {
    const { name, value } = directive;
    const section = scope.sectionOf.get(directive);
    if (section !== undefined) {
      if (!scope.sections.includes(section)) return BEFORE_LISTENERS;
      const left = choice.leftOut.get(section);
      const head = section.head ?? [...section.lines.values()][0] ?? directive;
      if (left !== undefined && directive === head) return { kind: 'unsupported', ...left };
      if (left !== undefined) return { kind: 'part', of: head, what: 'a listener that is left out' };
      const listener = listeners.find((each) => each.section === section);
      const outcome =
        listener === undefined
          ? undefined
          : judgeListenerLine(directive, {
              listener,
              choice,
              address: addressOf(addresses, listener.kind),
            });
      if (outcome !== undefined) return outcome;
    }
    const bridge = scope.bridgeOf.get(directive);
    if (bridge !== undefined) return { kind: 'part', of: bridge, what: `the bridge ${bridge.value}` };
    return judgeSecurityLine(directive, security) ?? GENERAL_RULES[name]?.(value) ?? judgeOther(name);
  };
  const lines = directives.map((directive) => ({ directive, outcome: judge(directive) }));
  const settings = withSettings(lines);
  return { settings: fitted(settings, { addresses, choice, security }), lines };
}

function judgeOther(name: string): Outcome {
  if (name === 'connection') return BRIDGE;
  if (BRIDGE_OPTIONS.has(name)) return LOST_BRIDGE_OPTION;
  if (name === 'include_dir')
    return notNeeded('lines of its files are read where it stands in the main file, and nowhere else');
  if (PLUGIN_OPTION_PREFIXES.some((prefix) => name.startsWith(prefix))) return PLUGIN_OPTION;
  const near = nearest(name, KNOWN_OPTIONS);
  const hint = near === undefined ? '' : `: did you mean ${near}?`;
  return notUnderstood(`mosquitto 2.0 has no option of that name${hint}`);
}
