import { isSecureKind, LOOPBACK, type Listener, type ListenerKind, reachOf } from './listener.js';
import type { ListenerChoice } from './listener-choice.js';
import { booleanOf } from './rule.js';
import type { Scope } from './scope.js';
import type { SecurityChoice } from './security-lines.js';

/** Where the gateway listens. */
export interface ListenerAddress {
  readonly key: 'listeners.host' | 'listeners.tls.host';
  readonly host: string;
  /** Why it is loopback for now, and what to do; undefined: it is the address that was chosen. */
  readonly heldBack: string | undefined;
}

export interface ListenerAddresses {
  /** Of the listeners without TLS, and of the others where they have no key of their own. */
  readonly common: ListenerAddress;
  readonly tls: ListenerAddress;
}

export interface Access {
  /** A plugin decided about clients. */
  readonly hasPlugin: boolean;
  readonly security: SecurityChoice;
  readonly scope: Scope;
}

/** What is open to other machines and has nobody to say who may connect, is held back to this one. */
export function addressesOf(choice: ListenerChoice, access: Access): ListenerAddresses {
  const { plainHost, tlsHost } = choice;
  const commonHost = plainHost ?? tlsHost ?? LOOPBACK;
  const listenersOf = (isSecure: boolean): Listener[] =>
    [...choice.taken.values()].filter(({ kind }) => isSecureKind(kind) === isSecure);
  const held = {
    plain: holdsBack(listenersOf(false), access),
    tls: holdsBack(listenersOf(true), access),
  };
  const isShared =
    plainHost === undefined || tlsHost === undefined || (plainHost === tlsHost && held.plain === held.tls);
  const address = (key: ListenerAddress['key'], host: string, why: string | undefined): ListenerAddress => ({
    key,
    host: why === undefined ? host : LOOPBACK,
    heldBack: why === undefined ? undefined : `${why}, set ${key}`,
  });
  const common = address('listeners.host', commonHost, plainHost === undefined ? held.tls : held.plain);
  return {
    common,
    tls: isShared ? common : address('listeners.tls.host', tlsHost, held.tls),
  };
}

export function addressOf({ common, tls }: ListenerAddresses, kind: ListenerKind): ListenerAddress {
  return isSecureKind(kind) ? tls : common;
}

/** Why only this machine may connect for now; undefined: no reason. @param listeners that share an address */
function holdsBack(
  listeners: readonly Listener[],
  { hasPlugin, security, scope }: Access,
): string | undefined {
  if (listeners.every(({ host }) => reachOf(host) === 0)) return undefined;
  if (hasPlugin) return 'a plugin decided about clients, which is not there; when others do';
  // A password file of other listeners lets in whom these kept out.
  const isGuarded = listeners.some(({ section }) => {
    const options = scope.securityOf(section);
    return options.has('password_file') || booleanOf(options.get('allow_anonymous')?.value ?? '') === true;
  });
  if (isGuarded && (security.allowAnonymous || security.passwordFile !== undefined)) return undefined;
  return 'nothing says who may connect; when security.passwordFile does';
}
