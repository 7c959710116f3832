import type { Logger } from '../../lib/contracts/logger.js';

const nothing = (): void => {};

export const nullLogger: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => nullLogger,
};
