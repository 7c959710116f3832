/** How a `sprawl-edge` process ends. `pub` and `sub` use mosquitto's codes instead (client/exit-code.ts). */
export const ExitCode = {
  done: 0,
  /** It could not be done: a port is in use, a file cannot be written. */
  failed: 1,
  /** The command line or the configuration is wrong; nothing was started. */
  usage: 2,
  /** A bug: the process stopped rather than go on in an unknown state (EX_SOFTWARE of sysexits.h). */
  bug: 70,
  /** A second SIGINT or SIGTERM, or one where there is nothing to drain: 128 and the number of the signal. */
  interrupted: 130,
  terminated: 143,
  /** The reader of standard output went away: 128 and SIGPIPE. */
  brokenPipe: 141,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
