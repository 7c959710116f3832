import type { Writable } from 'node:stream';
import type { Config } from '../config/index.js';
import type { Timers } from '../contracts/clock.js';
import { realClock } from '../real-clock.js';
import { createLogWriter, type LogWriter } from '../telemetry/log-writer.js';

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
  return createLogWriter({ ...log, clock: realClock, timers, write: (line) => stderr.write(line) });
}
