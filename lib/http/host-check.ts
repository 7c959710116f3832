/**
 * A web page of a stranger may make a browser on this machine ask us, under the stranger's own name (DNS rebinding). What
 * gives it away is the Host header: while we listen on loopback it has to name loopback.
 */

/** @param address as the bound socket shows it. */
export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || isLoopbackIPv4(address.replace(/^::ffff:/, ''));
}

function isLoopbackIPv4(text: string): boolean {
  return /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(text);
}

/** Whether a Host header names this machine by a name that no DNS server has a say in, with any port. */
export function namesLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/:\d*$/, '');
  return name === 'localhost' || name === '[::1]' || isLoopbackIPv4(name);
}
