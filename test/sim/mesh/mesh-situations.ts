/** Situations that a set of mesh seeds has to reach: a check that never met one has not been made. */
export const MESH_SITUATIONS = [
  'messages crossed to another gateway',
  'express lane used',
  'backfill used',
  'backlog read from the log again',
  'live messages were too many for memory',
  'catch-up became live',
  'SUBACK waited for another gateway',
  'SUBACK left without another gateway',
  'partition healed with messages waiting on both sides',
  'one-way partition healed',
  'link lost',
  'link replaced while frames were on their way',
  'link rebuilt because it stalled',
  'message came a second time to a gateway',
  'receiver ended between append and commit',
  'sender ended with messages not acknowledged',
  'gateway killed',
  'gateway lost its power',
  'all gateways restarted at once',
  'frozen gateway came back',
  'clock jumped',
  'gateway put back to an old image',
  'rollback found by another gateway',
  'acknowledged message lost with a rollback',
  'retained conflict decided',
  'retained message overtaken by a newer one',
  'older retained message came behind a newer one',
] as const;
export type MeshSituation = (typeof MESH_SITUATIONS)[number];

export class MeshSituations {
  readonly counts = new Map<MeshSituation, number>();

  saw(situation: MeshSituation, times = 1): void {
    if (times > 0) this.counts.set(situation, (this.counts.get(situation) ?? 0) + times);
  }

  add(other: MeshSituations): void {
    for (const [situation, times] of other.counts) this.saw(situation, times);
  }

  /** What was not met. */
  get missing(): MeshSituation[] {
    return MESH_SITUATIONS.filter((situation) => !this.counts.has(situation));
  }
}
