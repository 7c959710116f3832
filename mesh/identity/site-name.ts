/** How people know a gateway: the name of its site. Letters, digits, `.`, `_` and `-`, so that it can stand in topics and metrics. */
export const SITE_MAX_CHARACTERS = 63;
const SITE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

export function isSiteName(text: string): boolean {
  return SITE.test(text);
}

/** @param hostname of the machine, whatever it is. @returns a name that `isSiteName` takes */
export function siteNameOf(hostname: string): string {
  const name = hostname
    .normalize('NFKD')
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, SITE_MAX_CHARACTERS)
    .replace(/-+$/, '');
  return name === '' ? 'gateway' : name;
}
