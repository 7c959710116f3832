import { BRIDGE_OPTIONS } from './bridge-rules.js';
import type { Directive } from './directive.js';
import { LISTENER_RULES, SECURITY_RULES } from './listener-rules.js';
import type { ListenerSection } from './listener.js';
import { booleanOf } from './rule.js';

/** Options of the listener they stand under; any of them before the first `listener` line opens the default one. */
export const LISTENER_OPTIONS: ReadonlySet<string> = new Set([
  ...Object.keys(LISTENER_RULES),
  'bind_interface',
  'cafile',
  'certfile',
  'crlfile',
  'keyfile',
  'max_connections',
  'protocol',
  'require_certificate',
  'socket_domain',
]);

/** Options of the default listener, wherever they stand. */
export const DEFAULT_LISTENER_OPTIONS: ReadonlySet<string> = new Set(['port', 'bind_address']);

/** Options of every listener, or with per_listener_settings of the one they stand under. */
export const SECURITY_OPTIONS: ReadonlySet<string> = new Set([
  ...Object.keys(SECURITY_RULES),
  'acl_file',
  'allow_anonymous',
  'password_file',
]);

/** What each line of a mosquitto.conf is about. */
export interface Scope {
  /** Those that are opened, in the order of the file, the default listener last. */
  readonly sections: readonly ListenerSection[];
  /** Nothing opens a listener: mosquitto then serves this machine alone. */
  readonly isLocal: boolean;
  readonly sectionOf: ReadonlyMap<Directive, ListenerSection>;
  /** The `connection` line of each option of a bridge. */
  readonly bridgeOf: ReadonlyMap<Directive, Directive>;
  /** The security options that hold for a listener. */
  securityOf(section: ListenerSection): ReadonlyMap<string, Directive>;
}

/**
 * Each file has a listener and a bridge of its own that its lines are about: an included file begins with the default listener,
 * and the main file goes on with the one it had.
 */
export function scopeOf(directives: readonly Directive[]): Scope {
  const isPerListener = directives.some(
    ({ name, value }) => name === 'per_listener_settings' && booleanOf(value) === true,
  );
  const byDefault: ListenerSection = { head: undefined, lines: new Map() };
  const named: ListenerSection[] = [];
  const shared = new Map<string, Directive>();
  const sectionOf = new Map<Directive, ListenerSection>();
  const bridgeOf = new Map<Directive, Directive>();
  const currentSection = new Map<string, ListenerSection>();
  const currentBridge = new Map<string, Directive>();
  for (const directive of directives) {
    const { name, file } = directive;
    const section = currentSection.get(file) ?? byDefault;
    const put = (to: ListenerSection): void => {
      to.lines.set(name, directive);
      sectionOf.set(directive, to);
    };
    if (name === 'listener') {
      const opened: ListenerSection = { head: directive, lines: new Map() };
      named.push(opened);
      currentSection.set(file, opened);
      sectionOf.set(directive, opened);
    } else if (name === 'connection') currentBridge.set(file, directive);
    else if (BRIDGE_OPTIONS.has(name)) {
      const bridge = currentBridge.get(file);
      if (bridge !== undefined) bridgeOf.set(directive, bridge);
    } else if (DEFAULT_LISTENER_OPTIONS.has(name)) put(byDefault);
    else if (LISTENER_OPTIONS.has(name) || (isPerListener && SECURITY_OPTIONS.has(name))) put(section);
    else if (SECURITY_OPTIONS.has(name)) shared.set(name, directive);
  }
  const isDefaultOpen = [...byDefault.lines.keys()].some((name) => !SECURITY_OPTIONS.has(name));
  const isLocal = !isDefaultOpen && named.length === 0;
  return {
    sections: isDefaultOpen || isLocal ? [...named, byDefault] : named,
    isLocal,
    sectionOf,
    bridgeOf,
    securityOf: (section) => (isPerListener ? section.lines : shared),
  };
}
