/** Levels from loudest to quietest; `silent` writes nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Values beside a message: never secrets, never payloads; topics and client ids are escaped by the writer. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** A line a person can act on: what happened, to whom, and what to do about it where there is something to do. */
export interface Logger {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines also carry `fields`. */
  child(fields: LogFields): Logger;
}
