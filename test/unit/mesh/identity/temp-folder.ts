import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { LogFields, Logger } from '../../../../lib/contracts/logger.js';

export function tempFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-mesh-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Keeps warnings as text. */
export class Warnings implements Logger {
  readonly lines: string[] = [];

  warn(message: string, fields: LogFields = {}): void {
    this.lines.push([message, ...Object.values(fields)].join(' '));
  }
  trace(): void {}
  debug(): void {}
  info(): void {}
  error(): void {}
  child(): Logger {
    return this;
  }
}
