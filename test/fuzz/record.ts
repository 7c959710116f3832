/** What was sent lately, connection by connection, so that a failure can be played again. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Bytes in hexadecimal, or how this side ended the connection. */
export type Step = { readonly write: string } | { readonly end: Ending };
export const ENDINGS = ['end', 'reset', 'disconnect'] as const;
export type Ending = (typeof ENDINGS)[number];

export interface RecordedConnection {
  readonly card: string;
  readonly steps: Step[];
}

const KEPT_MAX_COUNT = 300;

export class Recorder {
  readonly #kept: RecordedConnection[] = [];

  begin(card: string): RecordedConnection {
    const connection: RecordedConnection = { card, steps: [] };
    this.#kept.push(connection);
    if (this.#kept.length > KEPT_MAX_COUNT) this.#kept.shift();
    return connection;
  }

  /** The last connections, in the order in which they began. */
  save(file: string): void {
    writeFileSync(file, this.#kept.map((connection) => JSON.stringify(connection)).join('\n') + '\n');
  }
}

export function readRecord(file: string): RecordedConnection[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as RecordedConnection);
}
