const ADDRESS = /^(?:\[(.+)\]|([^[\]:]+)):(\d+)$/;

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** @param text HOST:PORT or [IPV6]:PORT, as the configuration has accepted it */
export function parseHostPort(text: string): HostPort {
  const [, bracketed, plain, port] = ADDRESS.exec(text) ?? [];
  return { host: bracketed ?? plain ?? '', port: Number(port) };
}

/** What `mesh.bootstrap` means. @returns empty: no search; undefined: the public nodes */
export function parseBootstrap(bootstrap: readonly string[]): readonly HostPort[] | undefined {
  if (bootstrap.includes('none')) return [];
  return bootstrap.length === 0 ? undefined : bootstrap.map(parseHostPort);
}
