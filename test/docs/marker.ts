/** What the HTML comment in front of a block says about running it; README.md of this folder explains it. */

export interface Run {
  readonly kind: 'run';
  readonly machine: string;
  readonly exitCode: number;
  /** It needs a gateway that runs already. */
  readonly needsGateway: boolean;
  /** Tried again until it ends so. */
  readonly isRepeated: boolean;
}
export type Marker =
  | Run
  | { readonly kind: 'not run'; readonly reason: string }
  | { readonly kind: 'file'; readonly name: string; readonly machine: string }
  | { readonly kind: 'output' };

export const FIRST_MACHINE = 'gateway';
const RUN = /^run(?: on (\w+))?(, while a gateway runs)?(?:, ends with (\d+))?(, until it works)?$/;
const FILE = /^file ([\w.-]+)(?: on (\w+))?$/;

/** @returns undefined where the comment is about something else */
export function parseMarker(text: string | undefined): Marker | undefined {
  if (text === undefined) return undefined;
  if (text === 'output') return { kind: 'output' };
  const [, reason] = /^not run: (\S.+)$/s.exec(text) ?? [];
  if (reason !== undefined) return { kind: 'not run', reason };
  const file = FILE.exec(text);
  if (file !== null) return { kind: 'file', name: file[1] ?? '', machine: file[2] ?? FIRST_MACHINE };
  const run = RUN.exec(text);
  if (run === null) return undefined;
  const [, machine = FIRST_MACHINE, gateway, code = '0', repeated] = run;
  return {
    kind: 'run',
    machine,
    exitCode: Number(code),
    needsGateway: gateway !== undefined,
    isRepeated: repeated !== undefined,
  };
}
