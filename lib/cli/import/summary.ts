import { placeOf, shownDirective } from './directive.js';
import { type JudgedLine, needsAttention, outcomeText } from './outcome.js';
import type { Plan } from './plan.js';

const TITLES: Readonly<Record<JudgedLine['outcome']['kind'], string>> = {
  taken: 'different',
  'not-needed': 'not needed',
  unsupported: 'not supported',
  part: 'not supported',
  'not-understood': 'not understood',
};

/** What is wrong beside the lines: with a password or ACL file, or with the configuration that was made. */
export type Finding = string;

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** For people: what needs attention, then the numbers. */
export function summaryText(plan: Plan, findings: readonly Finding[]): string {
  const { lines } = plan;
  const looked = lines.filter(({ outcome }) => needsAttention(outcome));
  const heads = looked.filter(({ outcome }) => outcome.kind !== 'part');
  const partCount = looked.length - heads.length;
  const kindCount = (kind: string): number => lines.filter(({ outcome }) => outcome.kind === kind).length;
  const numbers = [
    `${kindCount('taken')} taken over`,
    `${kindCount('not-needed')} not needed`,
    `${kindCount('unsupported') + partCount} not supported`,
    `${kindCount('not-understood')} not understood`,
  ].join(', ');
  const attention = heads.length + findings.length;
  return [
    ...heads.map(
      ({ directive, outcome }) =>
        `${placeOf(directive)}: ${shownDirective(directive)}: ${TITLES[outcome.kind]}: ${outcomeText(outcome)}`,
    ),
    ...findings,
    `${count(lines.length, 'line')}: ${numbers}`,
    attention === 0 ? 'nothing needs attention' : `${count(attention, 'thing')} to look at, above`,
    '',
  ].join('\n');
}

/** For programs. */
export function summaryJson(plan: Plan, findings: readonly Finding[], yaml: string): string {
  const lines = plan.lines.map(({ directive, outcome }) => ({
    file: directive.file,
    line: directive.line,
    directive: shownDirective(directive),
    outcome: outcome.kind,
    text: outcomeText(outcome),
    settings: outcome.kind === 'taken' ? outcome.settings : {},
    needsAttention: needsAttention(outcome),
  }));
  const settings = Object.fromEntries([...plan.settings].map(([key, { value }]) => [key, value]));
  return `${JSON.stringify({ settings, lines, findings, yaml }, null, 2)}\n`;
}
