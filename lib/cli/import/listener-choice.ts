import {
  EVERY_IPV4_ADDRESS,
  isSecureKind,
  listenerOf,
  type Listener,
  type ListenerKind,
  type ListenerSection,
  localListener,
  reachOf,
} from './listener.js';
import type { Scope } from './scope.js';

/** Why a listener is left out, and what to do. */
export interface LeftOut {
  readonly why: string;
  readonly instead: string;
}

/** The listeners that the gateway can have: one of each kind, those without TLS on one address and those with it on one. */
export interface ListenerChoice {
  /** Of those without TLS; undefined: there is none. */
  readonly plainHost: string | undefined;
  readonly tlsHost: string | undefined;
  readonly taken: ReadonlyMap<ListenerKind, Listener>;
  readonly leftOut: ReadonlyMap<ListenerSection, LeftOut>;
}

const KIND_NAMES: Readonly<Record<ListenerKind, string>> = {
  mqtt: 'MQTT over TCP',
  ws: 'MQTT over WebSocket',
  tls: 'MQTT over TLS',
  wss: 'MQTT over WebSocket and TLS',
};

/**
 * With TLS and without it, takes the address that most can reach and, for each kind, the first listener on it. One that listens on
 * fewer addresses is left out: on the common one more clients could reach it than before.
 */
export function chooseListeners({ sections, isLocal }: Pick<Scope, 'sections' | 'isLocal'>): ListenerChoice {
  const listeners = sections.map((section) =>
    isLocal ? localListener(section) : listenerOf(section, sections.length === 1),
  );
  const possible = listeners.filter(({ obstacle }) => obstacle === undefined);
  const plainHost = commonHost(possible.filter(({ kind }) => !isSecureKind(kind)));
  const tlsHost = commonHost(possible.filter(({ kind }) => isSecureKind(kind)));
  const taken = new Map<ListenerKind, Listener>();
  const leftOut = new Map<ListenerSection, LeftOut>();
  for (const listener of listeners) {
    const host = isSecureKind(listener.kind) ? tlsHost : plainHost;
    const reason = listener.obstacle ?? misfit(listener, host ?? listener.host, taken.get(listener.kind));
    if (reason === undefined) taken.set(listener.kind, listener);
    else leftOut.set(listener.section, reason);
  }
  return { plainHost, tlsHost, taken, leftOut };
}

function commonHost(listeners: readonly Listener[]): string | undefined {
  const widest = Math.max(...listeners.map(({ host }) => reachOf(host)));
  const hosts = listeners.map(({ host }) => host).filter((host) => reachOf(host) === widest);
  // Of "every address" and "every IPv4 address" the one that opens less.
  if (hosts.includes(EVERY_IPV4_ADDRESS)) return EVERY_IPV4_ADDRESS;
  return hosts[0];
}

/** `all listeners without TLS`: those that share an address with one of this kind. */
export function sharersOf(kind: ListenerKind): string {
  return `all listeners ${isSecureKind(kind) ? 'with' : 'without'} TLS`;
}

function misfit(listener: Listener, host: string, rival: Listener | undefined): LeftOut | undefined {
  const { kind, port } = listener;
  const isOnHost =
    listener.host === host || (reachOf(host) !== 1 && reachOf(listener.host) === reachOf(host));
  if (!isOnHost)
    return {
      why: `${sharersOf(kind)} have one address, here ${host}, and this one is on ${listener.host} only`,
      instead: `where more may reach it, set listeners.${kind}Port to ${port}, else let its clients use another listener`,
    };
  if (rival === undefined) return undefined;
  return {
    why: `there is one listener for ${KIND_NAMES[kind]}, the one on port ${rival.port}`,
    instead: `let its clients use port ${rival.port}, or let the firewall of the machine redirect ${port} to it`,
  };
}
