import type { Clock, Timers } from '../contracts/clock.js';
import { LOG_LEVELS, type LogFields, type Logger, type LogLevel } from '../contracts/logger.js';

export type LogFormat = 'text' | 'json';

export interface LogWriterOptions {
  /** Least important level that is written. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes one line, its line feed included. */
  readonly write: (line: string) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Lines of one message and level per second; further ones are counted and reported in one line. Default 20. */
  readonly burstMaxCount?: number;
}

/** A logger over one output. */
export interface LogWriter extends Logger {
  /** Writes the counts of collapsed lines that are still pending, e.g. before the process ends. */
  flush(): void;
}

type WrittenLevel = Exclude<LogLevel, 'silent'>;

const BURST_WINDOW_MS = 1000;
const BURST_MAX_COUNT = 20;
/** Messages watched at a time; they come from our sources, so this many never occur within a second. */
const BURST_MESSAGES_MAX = 512;
/** A client id may be 64 KiB; nobody reads that in a log. */
const VALUE_MAX_CHARS = 512;
/** Keys of the line itself; a field of the same name gets an underscore in JSON lines. */
const OWN_KEYS: ReadonlySet<string> = new Set(['time', 'level', 'message']);

/** Characters that end lines, move the cursor or reverse the text on some terminal. */
const FORGING =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
/** Text that needs no quotes as a value. */
const PLAIN = /^[A-Za-z0-9_.:/@%+,$#*[\]()~-]+$/;

function escaped(text: string): string {
  return text.replace(FORGING, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function cut(text: string): string {
  return text.length <= VALUE_MAX_CHARS ? text : `${text.slice(0, VALUE_MAX_CHARS)}…`;
}

function textValue(value: LogFields[string]): string {
  if (typeof value !== 'string') return String(value);
  return PLAIN.test(value) && value.length <= VALUE_MAX_CHARS ? value : escaped(JSON.stringify(cut(value)));
}

function textLine(time: string, level: WrittenLevel, message: string, fields: LogFields): string {
  let line = `${time} ${level.toUpperCase().padEnd(5)} ${escaped(message)}`;
  for (const [key, value] of Object.entries(fields))
    if (value !== undefined) line += ` ${key}=${textValue(value)}`;
  return `${line}\n`;
}

function jsonLine(time: string, level: WrittenLevel, message: string, fields: LogFields): string {
  const entries = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) =>
        [OWN_KEYS.has(key) ? `${key}_` : key, typeof value === 'string' ? cut(value) : value] as const,
    );
  return `${escaped(JSON.stringify({ time, level, message, ...Object.fromEntries(entries) }))}\n`;
}

interface Burst {
  readonly level: WrittenLevel;
  readonly message: string;
  readonly startedAt: number;
  written: number;
  collapsed: number;
}

class LogCore {
  readonly #options: LogWriterOptions;
  readonly #burstMaxCount: number;
  readonly #threshold: number;
  readonly #bursts = new Map<string, Burst>();

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#burstMaxCount = options.burstMaxCount ?? BURST_MAX_COUNT;
    this.#threshold = LOG_LEVELS.indexOf(options.level);
  }

  log(level: WrittenLevel, message: string, fields: LogFields): void {
    if (LOG_LEVELS.indexOf(level) < this.#threshold) return;
    if (this.#admit(level, message)) this.#emit(level, message, fields);
  }

  flush(): void {
    for (const [key, burst] of this.#bursts) this.#end(key, burst);
  }

  #admit(level: WrittenLevel, message: string): boolean {
    const key = `${level} ${message}`;
    const now = this.#options.clock.now();
    let burst = this.#bursts.get(key);
    if (burst !== undefined && now - burst.startedAt >= BURST_WINDOW_MS) {
      this.#end(key, burst);
      burst = undefined;
    }
    if (burst === undefined) {
      if (this.#bursts.size >= BURST_MESSAGES_MAX) this.flush();
      burst = { level, message, startedAt: now, written: 0, collapsed: 0 };
      this.#bursts.set(key, burst);
    }
    if (burst.written < this.#burstMaxCount) {
      burst.written += 1;
      return true;
    }
    if (burst.collapsed === 0) this.#reportAtEnd(key, burst, now);
    burst.collapsed += 1;
    return false;
  }

  #reportAtEnd(key: string, burst: Burst, now: number): void {
    this.#options.timers.after(burst.startedAt + BURST_WINDOW_MS - now, () => {
      if (this.#bursts.get(key) === burst) this.#end(key, burst);
    });
  }

  #end(key: string, burst: Burst): void {
    this.#bursts.delete(key);
    if (burst.collapsed > 0) this.#emit(burst.level, burst.message, { collapsedCount: burst.collapsed });
  }

  #emit(level: WrittenLevel, message: string, fields: LogFields): void {
    const time = new Date(this.#options.clock.wall()).toISOString();
    const line = this.#options.format === 'json' ? jsonLine : textLine;
    this.#options.write(line(time, level, message, fields));
  }
}

function loggerOver(core: LogCore, context: LogFields): LogWriter {
  const at =
    (level: WrittenLevel) =>
    (message: string, fields: LogFields = {}): void =>
      core.log(level, message, { ...context, ...fields });
  return {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => loggerOver(core, { ...context, ...fields }),
    flush: () => core.flush(),
  };
}

/**
 * Writes lines for people (`2026-01-31T08:00:00.000Z INFO  message key=value`) or one JSON object per line.
 * Whatever a value contains, it stays on its line and inside its quotes, so that a client cannot forge lines. The same
 * message more than `burstMaxCount` times in a second is collapsed into one line with `collapsedCount`.
 */
export function createLogWriter(options: LogWriterOptions): LogWriter {
  return loggerOver(new LogCore(options), {});
}
