/** What is where in a data folder. */
export interface MeshLayout {
  readonly folder: string;
  /** Who the gateway is. */
  readonly identityKey: string;
  /** Its lives; the copy is for the case that the first is damaged. */
  readonly epochs: string;
  readonly epochsCopy: string;
  readonly swarmKey: string;
  /** The admin of the mesh and whom it has evicted. */
  readonly roster: string;
  readonly site: string;
  /** The latest time that was ever seen. */
  readonly timeFloor: string;
  /** Where others were reached. */
  readonly addresses: string;
  /** The lives of others, as they were told last. */
  readonly lineages: string;
}

/** @param dataDir without `/` at its end */
export function meshLayoutOf(dataDir: string): MeshLayout {
  const folder = `${dataDir}/mesh`;
  return {
    folder,
    identityKey: `${folder}/identity.key`,
    epochs: `${folder}/epochs.json`,
    epochsCopy: `${folder}/epochs.copy.json`,
    swarmKey: `${folder}/swarm.key`,
    roster: `${folder}/roster.json`,
    site: `${folder}/site.json`,
    timeFloor: `${folder}/time-floor.json`,
    addresses: `${folder}/addresses.json`,
    lineages: `${folder}/lineages.json`,
  };
}
