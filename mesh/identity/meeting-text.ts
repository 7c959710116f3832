import { cloneText } from './clone-report.js';
import { epochText } from './lineage.js';
import type { Loss, Verdict } from './meeting.js';

export interface MeetingNames {
  /** `7f3a0b12 (harbour)`, as it is known to people. */
  readonly other: string;
  /** Of the machine that is also the other one, where it is a clone. */
  readonly address: string;
}

function range({ lostFrom, lostTo }: Loss): string {
  return lostFrom === lostTo ? `position ${lostFrom}` : `positions ${lostFrom} to ${lostTo}`;
}

/** What a meeting was, for the log; undefined: nothing that anybody has to know. */
export function meetingText(verdict: Verdict, { other, address }: MeetingNames): string | undefined {
  switch (verdict.kind) {
    case 'firstMeeting':
      return undefined;
    case 'healthy':
      return verdict.isProven
        ? undefined
        : `${other} has started so often since it was last met that it does not remember that time: it is taken to be what it was`;
    case 'rolledBack': {
      const epochs = `it does not remember all of start ${epochText(verdict.known)}, the present one is ${epochText(verdict.present)}`;
      const lost =
        verdict.lostFrom === 0
          ? 'nothing that was received from it is gone there'
          : `${range(verdict)} of its log are gone there: what this gateway received of them stays, others will not get it any more`;
      return `${other} was put back to an old copy of its data folder: ${epochs}; ${lost}`;
    }
    case 'weAreRolledBack': {
      const epochs = `${other} knows more of start ${epochText(verdict.known)} than this gateway remembers; the present one is ${epochText(verdict.present)}`;
      const lost =
        verdict.lostFrom === 0
          ? 'nothing that was sent there is missing here'
          : `${range(verdict)} of the log, which ${other} has, are missing here`;
      return `this gateway was put back to an old copy of its data folder: ${epochs}; ${lost}. It goes on from what it has`;
    }
    case 'clone':
      return cloneText(verdict.report, address);
  }
}
