import { isLoopback } from '../../config/index.js';
import type { Directive } from './directive.js';
import { booleanOf, wholeNumberOf } from './rule.js';

/** What is said for one listener. */
export interface ListenerSection {
  /** Its `listener` line; undefined for the default listener, which has none. */
  readonly head: Directive | undefined;
  readonly lines: Map<string, Directive>;
}

/** Names of listeners, as in the keys `listeners.<name>Port`. */
export type ListenerKind = 'mqtt' | 'ws' | 'tls' | 'wss';

/** A listener of mosquitto as it is, and whether the gateway can have it. */
export interface Listener {
  readonly section: ListenerSection;
  readonly port: number;
  readonly host: string;
  readonly kind: ListenerKind;
  /** Why it cannot be taken over at all, and what to do; undefined: it can. */
  readonly obstacle: { readonly why: string; readonly instead: string } | undefined;
}

const DEFAULT_PORT = 1883;
/** Every address, IPv4 as well: where mosquitto listens without an address. */
export const EVERY_ADDRESS = '::';
export const EVERY_IPV4_ADDRESS = '0.0.0.0';
export const LOOPBACK = '127.0.0.1';

/** How many can reach it: this machine, one network, every network. */
export function reachOf(host: string): 0 | 1 | 2 {
  if (host === EVERY_ADDRESS || host === EVERY_IPV4_ADDRESS) return 2;
  return isLoopback(host) ? 0 : 1;
}

export function flagOf({ lines }: ListenerSection, name: string): boolean {
  return booleanOf(lines.get(name)?.value ?? '') === true;
}

export function isTls({ lines }: ListenerSection): boolean {
  return lines.has('certfile') && lines.has('keyfile');
}

/** The only listener of a file that names none. */
export function localListener(section: ListenerSection): Listener {
  return { section, port: DEFAULT_PORT, host: LOOPBACK, kind: 'mqtt', obstacle: undefined };
}

export function listenerOf(section: ListenerSection, isAlone: boolean): Listener {
  const { head, lines } = section;
  const [portText = '', address = ''] = head?.value.split(/[ \t]+/) ?? [];
  const port = head === undefined ? wholeNumberOf(lines.get('port')?.value ?? '') : wholeNumberOf(portText);
  const given = head === undefined ? lines.get('bind_address')?.value : address;
  // mosquitto takes a comment behind the port for no address.
  const host = given === undefined || given === '' || given.startsWith('#') ? everywhere(section) : given;
  const isWebSocket = lines.get('protocol')?.value === 'websockets';
  const kind = isTls(section) ? (isWebSocket ? 'wss' : 'tls') : isWebSocket ? 'ws' : 'mqtt';
  return { section, port: port ?? DEFAULT_PORT, host, kind, obstacle: obstacleOf(section, host, isAlone) };
}

function everywhere({ lines }: ListenerSection): string {
  return lines.get('socket_domain')?.value === 'ipv4' ? EVERY_IPV4_ADDRESS : EVERY_ADDRESS;
}

/** A listener is left out rather than opened for more clients than mosquitto let in. */
function obstacleOf(section: ListenerSection, host: string, isAlone: boolean): Listener['obstacle'] {
  const { lines } = section;
  if (host.startsWith('/'))
    return { why: 'Unix sockets are not listened on', instead: 'use TCP on loopback' };
  if (lines.has('psk_hint') && !isTls(section))
    return {
      why: 'TLS with pre-shared keys is not supported',
      instead: 'give its clients certificates, or passwords over TLS',
    };
  if (lines.has('bind_interface'))
    return {
      why: 'a listener is bound to an address, not to an interface',
      instead: `set ${isTls(section) ? 'listeners.tls.host' : 'listeners.host'} to the address of the interface`,
    };
  const isAsking = isTls(section) && flagOf(section, 'require_certificate');
  if (isAsking && !lines.has('cafile'))
    return {
      why: 'whose certificates of clients count is said with a cafile only, and there is none',
      instead: 'write the authorities into one file (cat *.pem), name it as cafile, and import again',
    };
  if (isAsking && lines.has('crlfile'))
    return {
      why: 'revocation lists are not read, so that revoked certificates would get in',
      instead: 'issue the other certificates anew under another authority',
    };
  if (lines.has('mount_point') && !isAlone)
    return {
      why: 'there is no mount_point, so that its clients would see the topics of the others',
      instead: 'let its clients say the whole topic, and hold them there with the ACL',
    };
  return undefined;
}

/** Those with TLS have an address of their own. */
export function isSecureKind(kind: ListenerKind): boolean {
  return kind === 'tls' || kind === 'wss';
}

export function isWebSocketKind(kind: ListenerKind): boolean {
  return kind === 'ws' || kind === 'wss';
}
