/** Whether others can reach this machine, and it them. Pure. */
import { isLoopback } from '../../config/index.js';
import { expiryOf } from '../../tls-files.js';
import { failure, type Finding, ok, skipped, warning } from './finding.js';

export interface PortWanted {
  /** `mqtt`, `mesh udp`. */
  readonly name: string;
  /** The configuration key that sets it. */
  readonly key: string;
  readonly kind: 'tcp' | 'udp';
  readonly host: string;
  /** The configuration key that sets the address. */
  readonly hostKey: string;
  readonly port: number;
}

/** Of the listeners. @param endMs when it ends, since 1970 */
export function judgeCertificate(file: string, endMs: number, nowMs: number): Finding {
  const value = `${file}: valid until ${new Date(endMs).toISOString()}`;
  const measured = { file, endMs };
  const expiry = expiryOf(endMs, nowMs);
  if (expiry === undefined) return ok('certificate', value, measured);
  return warning(
    'certificate',
    `${file}: ${expiry}`,
    'put a new one there, and restart the gateway',
    measured,
  );
}

/** @param code of the system, such as EADDRINUSE; undefined: it is free. @param isInUse whether a gateway runs on the data folder */
export function judgePort(wanted: PortWanted, code: string | undefined, isInUse: boolean): Finding {
  const { name, key, kind, host, hostKey, port } = wanted;
  const check = `port ${name}`;
  const where = `${host}:${port}/${kind}`;
  switch (code) {
    case undefined:
      return ok(check, `${where} is free`);
    case 'EADDRINUSE':
      if (isInUse) return ok(check, `${where} is in use, and a gateway runs on this data folder`);
      return failure(
        check,
        `${where} is in use by another program`,
        `stop what holds it ("ss -lnp${kind === 'tcp' ? 't' : 'u'} sport = :${port}" shows it), or set another one: ${key}`,
      );
    case 'EACCES':
      return failure(
        check,
        `${where} is not allowed to this user`,
        `set ${key} to a port from 1024 on, or give the service the capability CAP_NET_BIND_SERVICE`,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return failure(
        check,
        `${host} is not an address of this machine`,
        `set ${hostKey} to one that "ip address" lists; 0.0.0.0 is all of them`,
      );
    default:
      return failure(check, `${where} cannot be opened: ${code}`, `set another one: ${key}`);
  }
}

/** How a hash table is asked: what the configuration says. */
export interface ReachPlan {
  readonly host: string;
  /** What is asked: addresses, or undefined for the public nodes. */
  readonly bootstrap: readonly string[] | undefined;
  /** The port of the mesh is in use by the gateway: another one was tried, for which a router may have no rule. */
  readonly isOtherPort: boolean;
}

/** What the nodes of the hash table say. */
export interface ReachSeen {
  /** UDP, on this machine. */
  readonly port: number;
  readonly nodes: number;
  readonly observers: number;
  readonly seenAt: readonly string[];
  readonly isFirewalled: boolean | undefined;
}

const CHECK = 'hash table';
const RELAY = 'a member that both sides reach passes the messages on (mesh.relay), or open the UDP port';

export function judgeReach(plan: ReachPlan, seen: ReachSeen): Finding {
  const { port, nodes, observers, seenAt, isFirewalled } = seen;
  const measured = { ...seen, isFirewalled: isFirewalled ?? null };
  if (observers === 0) return unanswered(plan, nodes, measured);
  const machines = observers === 1 ? '1 machine sees' : `${observers} machines see`;
  const value = `${machines} this one at ${seenAt.join(', ')}`;
  if (isFirewalled === undefined)
    return warning(CHECK, `${value}; whether others reach it was not told in time`, 'run it again', measured);
  if (!isFirewalled) {
    const hosts = [...new Set(seenAt.map(hostOf))].join(', ');
    return ok(CHECK, `${machines} this one at ${hosts}, and UDP port ${port} is reached directly`, measured);
  }
  const behind = `${value}: behind a router or firewall`;
  const hint = plan.isOtherPort
    ? 'the port of the mesh is in use, and another one was tried: where a router forwards that port, stop the gateway and run this again'
    : '';
  if (seenAt.length > 1) {
    return warning(
      CHECK,
      `${behind} that gives each connection a port of its own`,
      [
        `two gateways behind such ones cannot reach each other directly: ${RELAY} of one of them`,
        ...(hint === '' ? [] : [hint]),
      ].join('; '),
      measured,
    );
  }
  if (observers === 1) {
    const unsure = `${behind}; with one machine to ask it does not show whether hole punching works`;
    return withHint(ok(CHECK, unsure, measured), hint);
  }
  const open = `${behind} that keeps its port: others reach it by hole punching`;
  return withHint(ok(CHECK, open, measured), hint);
}

function withHint(finding: Finding, advice: string): Finding {
  return { ...finding, advice };
}

function unanswered({ bootstrap }: ReachPlan, nodes: number, measured: Finding['measured']): Finding {
  const known = nodes === 0 ? '' : `, though ${nodes} nodes are known`;
  if (bootstrap === undefined) {
    return warning(
      CHECK,
      `no public node answers${known}`,
      'let UDP out to the internet, run a meeting point of your own ("sprawl-edge bootstrap"), or do without: --bootstrap none',
      measured,
    );
  }
  return failure(
    CHECK,
    `${bootstrap.join(', ')} does not answer${known}`,
    'see that "sprawl-edge bootstrap" runs there, and that UDP to that port gets through',
    measured,
  );
}

/** The table is elsewhere, and the mesh listens for this machine alone. @returns undefined: it makes sense to ask */
export function judgeReachPlan({ host, bootstrap }: ReachPlan): Finding | undefined {
  if (!isLoopback(host) || bootstrap?.every((address) => isLoopback(hostOf(address))) === true)
    return undefined;
  return warning(
    CHECK,
    `not asked: the mesh listens on ${host}, which is this machine alone`,
    'set mesh.host to 0.0.0.0 for gateways on other machines, or --bootstrap none where there are none',
  );
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}

export function skippedReach(why: string): Finding {
  return skipped(CHECK, why);
}

/** How long a connection took, or why there is none. */
export type PeerSeen = { readonly tookMs: number } | { readonly failure: string };

export function judgePeer(address: string, seen: PeerSeen): Finding {
  const check = `peer ${address}`;
  if ('tookMs' in seen) {
    const { tookMs } = seen;
    return ok(check, `connects over TCP in ${tookMs < 10 ? tookMs.toFixed(1) : Math.round(tookMs)} ms`, {
      tookMs,
    });
  }
  return failure(
    check,
    seen.failure,
    'see that the gateway there runs, that mesh.host is no loopback address there, and that mesh.tcpPort gets through',
  );
}
