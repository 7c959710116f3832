/** Where a gateway may be reached. */
import { isIPv4, isIPv6 } from 'node:net';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export type AddressKind = 'tcp' | 'udp';

export interface PeerAddress extends HostPort {
  readonly kind: AddressKind;
}

export function showAddress({ host, port }: HostPort): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** An IPv4 address that a socket for both kinds shows as IPv6, as what it is. */
export function plainHost(host: string | undefined): string {
  if (host === undefined) return '';
  return host.startsWith('::ffff:') && isIPv4(host.slice(7)) ? host.slice(7) : host;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** UDP is IPv4 only. */
export function udpHostOf(host: string): string {
  if (host === '::') return '0.0.0.0';
  return host === '::1' || host === 'localhost' ? '127.0.0.1' : host;
}

export function isAnyHost(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
}

export function isSameAddress(a: HostPort, b: HostPort): boolean {
  return a.host === b.host && a.port === b.port;
}
