import type { Mid } from './event.js';

/** What a run promises, in milliseconds and shares. The defaults are for a machine that is not starved. */
export interface CheckOptions {
  /** Share of the QoS 1 and 2 publishes that must have ended `ok`, or the run has shown nothing. */
  readonly okShareMin: number;
  /** Share of the obligations that could be judged at the end, or the run has shown nothing. */
  readonly judgedShareMin: number;
  /** Kinds of faults that the run is about, and how many `ok` publishes each must overlap. */
  readonly nemeses: Readonly<Record<string, number>>;
  /** How long a session must be connected before the end of the drain, and a message acknowledged, to be judged as lost. */
  readonly settleMs: number;
  /** A message that is not there so long after its acknowledgement was withheld. */
  readonly withheldMs: number;
  /** How long two connections of one client id may be open at once. */
  readonly takeoverMs: number;
  /** How long after the end of a connection the broker may notice it, where no keep alive says more. */
  readonly noticeMs: number;
  /** A fault that begins so soon after DISCONNECT may make the broker forget it: nothing answers it. */
  readonly forgetDisconnectMs: number;
  /** How late a will may be. */
  readonly willLateMs: number;
  /** How much sooner than the client sees its connection end the broker may have seen it. */
  readonly willEarlyMs: number;
  /** How long after SUBACK a retained message may come. */
  readonly retainedMs: number;
  /** How long after the last retained publish of a topic all readers must agree on its value. */
  readonly quiescenceMs: number;
  /** A message that was acknowledged longer than this before a subscription is not for it. */
  readonly routingMs: number;
  /** How long a message may take from one node to another, where subscriptions come and go meanwhile. */
  readonly elsewhereMs: number;
  /**
   * Until then a reader may find an older retained value, or none, of a topic that is published at another node: nodes that
   * cannot reach each other go on. Default: it may not.
   */
  readonly retainedElsewhereFromMs?: number;
  /** Losses that are no fault of the broker, and who may miss which message. */
  readonly isExcused?: (cid: string, mid: Mid) => boolean;
  /** Messages that a broker which was put back to an old state took in twice, and that may come twice whatever their QoS. */
  readonly mayComeTwice?: (mid: Mid) => boolean;
  /** A message that was acknowledged within this before UNSUBSCRIBE may have been too late. */
  readonly unsubscribeGraceMs: number;
  /** Longest gap in service after a fault; without it the gap is only reported. */
  readonly recoveryMaxMs: number | undefined;
  /** How long after its end a fault is answerable for gaps. */
  readonly recoveryWindowMs: number;
  /** Duplicates at QoS 1 that one reconnect explains: the broker's window towards one client. */
  readonly inflightMax: number;
  /** Kinds of faults that may take the wills of the connections they end with them. */
  readonly willLosingFaults: readonly string[];
  /** Kinds of faults that end the process of the broker: what its clients get of it later had left before. */
  readonly endingFaults: readonly string[];
  /** Kinds of faults in which the broker refuses messages, and how long it may go on with that. */
  readonly refusingFaults: readonly string[];
  readonly refusingLateMs: number;
  /** The broker is so short of something that it may refuse at any time, also those who left before they were told. */
  readonly refusesAtAnyTime: boolean;
  /** Filters of topics on which others publish too. */
  readonly unjudgedTopics: readonly string[];
  /**
   * Filters of topics that clients of several nodes write while those may be apart. Which of two retained writes stands there is no matter
   * of time: a reader may find any of them, until all have to agree.
   */
  readonly concurrentTopics: readonly string[];
}

export const DEFAULT_OPTIONS: CheckOptions = {
  okShareMin: 0.9,
  judgedShareMin: 0.9,
  nemeses: {},
  settleMs: 2000,
  withheldMs: 2000,
  takeoverMs: 5000,
  noticeMs: 5000,
  forgetDisconnectMs: 0,
  willLateMs: 5000,
  willEarlyMs: 1000,
  retainedMs: 2000,
  quiescenceMs: 5000,
  routingMs: 1000,
  elsewhereMs: 0,
  unsubscribeGraceMs: 0,
  recoveryMaxMs: undefined,
  recoveryWindowMs: 60_000,
  inflightMax: 65_535,
  willLosingFaults: ['kill'],
  endingFaults: ['kill'],
  refusingFaults: [],
  refusingLateMs: 2500,
  refusesAtAnyTime: false,
  unjudgedTopics: ['$SYS/#', 'sprawl/dead-letter'],
  concurrentTopics: [],
};
