/** One line of a mosquitto.conf that says something. */
export interface Directive {
  readonly name: string;
  /** What follows the name, without the white space around it; empty where nothing does. */
  readonly value: string;
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The lines of a mosquitto.conf that are neither blank nor comments. mosquitto refuses tabs before or behind a name and white
 * space before the # of a comment; what they were meant to be is plain, and is read so.
 */
export function parseConf(text: string, file: string): Directive[] {
  return text.split('\n').flatMap((raw, index): Directive[] => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return [];
    const end = line.search(/[ \t]/);
    const name = end === -1 ? line : line.slice(0, end);
    const value = end === -1 ? '' : line.slice(end).trim();
    return [{ name, value, file, line: index + 1 }];
  });
}

/** `mosquitto.conf:12`. */
export function placeOf({ file, line }: Directive): string {
  return `${file}:${line}`;
}

/** Names whose values are passwords or keys, or may be: what a plugin is told is known to the plugin alone. */
const SECRET = /^((remote_|local_)?password|bridge_psk|tls_engine_kpass_sha1|(auth|plugin)_opt_.*)$/;

/** The line as it may be shown: on one line, without secrets. */
export function shownDirective({ name, value }: Directive): string {
  const text = `${name} ${SECRET.test(name) && value !== '' ? '***' : value}`.trim();
  return text.replaceAll(/\p{Cc}/gu, '?');
}
