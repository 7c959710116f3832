/** Situations that a set of crash seeds has to reach: a check that never met one has not been made. */
export const CRASH_SITUATIONS = [
  'power was lost while it served',
  'killed while it served',
  'crash while opening',
  'crash while replaying',
  'crash soon after another',
  'crash with a checkpoint on its way to the database',
  'crash in the middle of a snapshot',
  'crash with a commit on its way to the disk',
  'checkpoint',
  'checkpoint in the middle of a replay',
  'snapshot',
  'segment of the log dropped',
  'block of a queue put away',
  'block of a queue read back',
  'queue read back after a crash',
  'database made again from a snapshot',
  'database made again from the log alone',
  'damaged snapshot passed over',
  'start failed and was tried again',
  'sync failed and lost its writes',
  'database failed to write',
  'disk was full',
  'publish refused while the disk was full',
  'session resumed after a crash',
  'session expired',
  'QoS 2 message sent again to the gateway after a crash',
  'QoS 2 message sent again by the gateway after a crash',
  'PUBREL sent again by the gateway after a crash',
  'will waited over a crash',
  'will waited for its turn over a crash',
  'member of a group chosen after a crash',
  'retained value read after a crash',
] as const;
export type CrashSituation = (typeof CRASH_SITUATIONS)[number];

export class CrashSituations {
  readonly counts = new Map<CrashSituation, number>();

  saw(situation: CrashSituation, times = 1): void {
    if (times > 0) this.counts.set(situation, (this.counts.get(situation) ?? 0) + times);
  }

  add(other: CrashSituations): void {
    for (const [situation, times] of other.counts) this.saw(situation, times);
  }

  /** What was not met. */
  get missing(): CrashSituation[] {
    return CRASH_SITUATIONS.filter((situation) => !this.counts.has(situation));
  }
}
