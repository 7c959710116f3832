import { performance } from 'node:perf_hooks';
import type { Writable } from 'node:stream';
import type { Config } from '../config/index.js';
import type { Clock, Timers } from '../contracts/clock.js';
import { createLogWriter, type LogWriter } from '../telemetry/log-writer.js';

const clock: Clock = { now: () => performance.now(), wall: () => Date.now() };

/** Never keeps the process alive: only reports of collapsed lines wait on it. */
const timers: Timers = {
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** The logger of a gateway process. */
export function createProcessLogger(log: Config['log'], stderr: Writable): LogWriter {
  return createLogWriter({ ...log, clock, timers, write: (line) => stderr.write(line) });
}
