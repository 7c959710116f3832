import type { HistoryEvent, Mid } from './event.js';

/** The checks, by the names that reports use. */
export const CHECKS = {
  C1: 'no acknowledged loss',
  C2: 'no phantom',
  C3: 'no duplicate',
  C4: 'order',
  C5: 'nothing withheld',
  C7: 'retained',
  C8: 'session continuity',
  C9: 'takeover',
  C10: 'wills',
  C11: 'recovery',
} as const;
export type CheckId = keyof typeof CHECKS;

/** What a check has found. */
export interface Finding {
  readonly check: CheckId;
  /** Which rule of the check, in a word or two. */
  readonly rule: string;
  /** One line that names session, message and times. */
  readonly text: string;
  /** Milliseconds since the first event. */
  readonly atMs: number;
  /** Client ids whose events explain it. */
  readonly cids: readonly string[];
  /** Messages whose events explain it; of many the first and the last. */
  readonly mids: readonly Mid[];
  /** How many messages, or how often. */
  readonly count: number;
}

export interface Violation extends Finding {
  /** Events of the messages, and of the sessions around `atMs`, in the order of time. */
  readonly witness: readonly HistoryEvent[];
}

export interface FaultFigures {
  readonly what: string;
  readonly nodes: readonly string[];
  readonly atMs: number;
  /** Undefined where it never ended. */
  readonly healedAtMs: number | undefined;
  /** Longest time without a delivery while there was something to deliver, over all topics. */
  readonly longestGapMs: number;
  /** Where that was; undefined without a gap. */
  readonly topic: string | undefined;
  /** Publishes that ended `ok` and overlapped it. */
  readonly okOverlaps: number;
}

export interface TopicFigures {
  /** Seconds in which something was published. */
  readonly demandedS: number;
  /** Of these, seconds in which something was delivered. */
  readonly servedS: number;
}

export interface Figures {
  events: number;
  durationMs: number;
  /** QoS 1 and 2 publishes by outcome; `info` is unknown for ever. */
  readonly publishes: { qos0: number; ok: number; fail: number; info: number };
  readonly deliveries: {
    live: number;
    /** Because of SUBSCRIBE. */
    stored: number;
    /** QoS 2 before PUBREL: not received again. */
    redelivered: number;
    /** Legal ones, at QoS 1. */
    duplicates: number;
  };
  readonly obligations: {
    judged: number;
    /** Of sessions that were not connected at the end of the drain. */
    unjudged: number;
    /** Not received, and explained by a reported drop or by a violation of another check. */
    excused: number;
  };
  readonly order: {
    streams: number;
    /** First receipts behind a later one. */
    inversions: number;
    /** Receipts that would have to go for the rest to be in order: length minus longest increasing subsequence. */
    deficit: number;
  };
  sessions: number;
  readonly duplicatesPerReconnectMax: { count: number; cid: string };
  readonly faults: FaultFigures[];
  readonly topics: Record<string, TopicFigures>;
  /** Of all violations, also those that the list has no place for. */
  readonly violations: Record<CheckId, number>;
}

export interface Verdict {
  /** `inconclusive`: nothing wrong was found, but the run has not shown that all is well; `reasons` say why. */
  readonly kind: 'pass' | 'fail' | 'inconclusive';
  readonly violations: readonly Violation[];
  readonly reasons: readonly string[];
  readonly figures: Figures;
}

/** Violations with a witness, for each check: more of them explain no more. */
const FINDINGS_MAX_COUNT = 20;

/** Where checks leave what they find. */
export class Report {
  readonly findings: Finding[] = [];
  readonly reasons: string[] = [];
  readonly figures: Figures = createFigures();

  violation(finding: Finding): void {
    const { violations } = this.figures;
    violations[finding.check]++;
    if (violations[finding.check] <= FINDINGS_MAX_COUNT) this.findings.push(finding);
  }

  /** The run shows less than it should. */
  doubt(reason: string): void {
    if (!this.reasons.includes(reason)) this.reasons.push(reason);
  }

  get kind(): Verdict['kind'] {
    if (this.findings.length > 0) return 'fail';
    return this.reasons.length > 0 ? 'inconclusive' : 'pass';
  }
}

function createFigures(): Figures {
  return {
    events: 0,
    durationMs: 0,
    publishes: { qos0: 0, ok: 0, fail: 0, info: 0 },
    deliveries: { live: 0, stored: 0, redelivered: 0, duplicates: 0 },
    obligations: { judged: 0, unjudged: 0, excused: 0 },
    order: { streams: 0, inversions: 0, deficit: 0 },
    sessions: 0,
    duplicatesPerReconnectMax: { count: 0, cid: '' },
    faults: [],
    topics: {},
    violations: { C1: 0, C2: 0, C3: 0, C4: 0, C5: 0, C7: 0, C8: 0, C9: 0, C10: 0, C11: 0 },
  };
}
