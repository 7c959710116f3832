import type { Writable } from 'node:stream';
import type { LogFields, Logger } from '../contracts/logger.js';

const nothing = (): void => undefined;

/** For commands that use what a gateway uses: what a gateway would log as a warning is a line, everything else is not for here. */
export function toolLogger(stderr: Writable): Logger {
  const warn = (message: string, fields: LogFields = {}): void => {
    const values = Object.values(fields).map(String);
    stderr.write(`warning: ${[message, ...values].join(': ')}\n`);
  };
  const logger: Logger = {
    trace: nothing,
    debug: nothing,
    info: nothing,
    warn,
    error: warn,
    child: () => logger,
  };
  return logger;
}
