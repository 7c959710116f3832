/**
 * CPU and memory of another process, read from /proc (Linux only). A process counts with its descendants, so that a
 * server that forks cannot look cheap.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** USER_HZ: fixed at 100 for user space on every Linux architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** `pid` and all its descendants that are alive. */
export function processTree(pid: number): number[] {
  const tree = [pid];
  for (const parent of tree) {
    let threads: string[] = [];
    try {
      threads = readdirSync(`/proc/${parent}/task`);
    } catch {
      continue;
    }
    for (const thread of threads) {
      const children = readOrEmpty(`/proc/${parent}/task/${thread}/children`).trim();
      if (children !== '') tree.push(...children.split(' ').map(Number));
    }
  }
  return tree;
}

/** User and system time of all threads so far, in seconds, 10 ms fine. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const member of processTree(pid)) {
    const stat = readOrEmpty(`/proc/${member}/stat`);
    // The command name (field 2) may hold spaces: fields are counted from its closing parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident memory now (VmRSS), in bytes. */
export function residentBytes(pid: number): number {
  let kilobytes = 0;
  for (const member of processTree(pid)) {
    kilobytes += Number(/^VmRSS:\s+(\d+) kB$/m.exec(readOrEmpty(`/proc/${member}/status`))?.[1] ?? 0);
  }
  return kilobytes * 1024;
}

/**
 * Resident memory once it stands still: three readings, 250 ms apart, within 0.5 % of each other. After `atMostMs` the
 * last reading counts as it is.
 */
export async function settledResidentBytes(pid: number, atMostMs: number): Promise<number> {
  const readings: number[] = [];
  for (let waitedMs = 0; waitedMs < atMostMs; waitedMs += 250) {
    readings.push(residentBytes(pid));
    const last = readings.slice(-3);
    if (last.length === 3 && Math.max(...last) - Math.min(...last) <= Math.max(...last) * 0.005) break;
    await sleep(250);
  }
  return residentBytes(pid);
}

/**
 * Bytes that the kernel holds for one loopback TCP connection, sent by the process at `serverPort` and not read by the
 * one at `clientPort`: the sender's queue plus the receiver's. undefined: there is no such connection any more.
 */
export function queuedBytes(serverPort: number, clientPort: number): number | undefined {
  let total: number | undefined;
  for (const line of readOrEmpty('/proc/net/tcp').split('\n').slice(1)) {
    const [, local = '', remote = '', , queues = ''] = line.trim().split(/\s+/);
    const from = Number.parseInt(local.split(':')[1] ?? '', 16);
    const to = Number.parseInt(remote.split(':')[1] ?? '', 16);
    const [transmit = '0', receive = '0'] = queues.split(':');
    if (from === serverPort && to === clientPort) total = (total ?? 0) + Number.parseInt(transmit, 16);
    if (from === clientPort && to === serverPort) total = (total ?? 0) + Number.parseInt(receive, 16);
  }
  return total;
}
