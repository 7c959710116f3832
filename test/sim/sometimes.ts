/** Situations that a set of seeds has to reach: a check that never met one has not been made. */
export const SOMETIMES = [
  'takeover while negotiating',
  'takeover while authenticating',
  'takeover while storage is asked',
  'takeover while accepting',
  'takeover of a ready connection',
  'closed while authenticating',
  'closed while storage is asked',
  'closed between admitted and ready',
  'refused for credentials',
  'refused for the rate of takeovers',
  'session resumed',
  'session replaced by a clean start',
  'session expired',
  'session expired with messages in its queue',
  'QoS 1 in flight resent after resume',
  'QoS 2 in flight resent after resume',
  'QoS 2 duplicate before commit',
  'QoS 2 message waits for commit',
  'acknowledgement waits for commit',
  'publish refused with a reason code',
  'publish held while storage is full',
  'will published at once',
  'will published after its delay',
  'will withdrawn by a resume',
  'will discarded by DISCONNECT',
  'keep alive timed out',
  'queue filled',
  'client stopped reading with output pending',
  'malformed bytes closed a connection',
  'half-open connection',
  'queue had to be read back',
] as const;
export type Situation = (typeof SOMETIMES)[number];

export class Sometimes {
  readonly counts = new Map<Situation, number>();

  saw(situation: Situation, times = 1): void {
    if (times > 0) this.counts.set(situation, (this.counts.get(situation) ?? 0) + times);
  }

  add(other: Sometimes): void {
    for (const [situation, times] of other.counts) this.saw(situation, times);
  }

  /** What was not met. */
  get missing(): Situation[] {
    return SOMETIMES.filter((situation) => !this.counts.has(situation));
  }
}
