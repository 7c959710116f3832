/** A server under test as a process: started, awaited until it answers a CONNECT, ended. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectFrame } from './frames.js';
import { microseconds } from './monotonic.js';
import { spawnPlain } from './plain-process.js';

const READY_WITHIN_MS = 30_000;
/** How often a server that does not listen yet is tried: the resolution of `readyMs`. */
const READY_POLL_MS = 2;

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

export interface ServerProcess {
  readonly pid: number;
  /** From the start of the process to the first CONNACK. */
  readonly readyMs: number;
  /** Resolves when it is gone; its files stay. */
  kill(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

/** Throws an Error with the end of the server's stderr if it ends or does not answer in time. @param port of MQTT */
export async function startServer(
  name: string,
  { file, args }: Command,
  port: number,
  folder: string,
): Promise<ServerProcess> {
  const startedUs = microseconds();
  const child = spawnPlain(file, args, folder);
  child.stdout.resume();
  let complaint = '';
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (complaint = (complaint + text).slice(-2_000)));
  const exited = once(child, 'exit');
  const kill = async (signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  const pid = child.pid;
  try {
    if (pid === undefined) throw new Error('not started');
    while (!(await answersConnect(port))) {
      const isLate = microseconds() - startedUs > READY_WITHIN_MS * 1000;
      if (isLate || child.exitCode !== null) throw new Error(isLate ? 'no answer in time' : 'ended at once');
      await sleep(READY_POLL_MS);
    }
  } catch (error) {
    await kill();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${name} did not start: ${reason}. ${firstLine(complaint)}`.trim(), { cause: error });
  }
  return { pid, readyMs: (microseconds() - startedUs) / 1000, kill };
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').slice(0, 300);
}

function answersConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const settle = (isReady: boolean) => (): void => {
      socket.destroy();
      resolve(isReady);
    };
    socket.on('connect', () => socket.write(connectFrame(4, 'bench-ready')));
    socket.on('data', settle(true)).on('error', settle(false)).on('end', settle(false));
    socket.setTimeout(READY_WITHIN_MS, settle(false));
  });
}
