import type { Refusal } from '../interest/index.js';
import { FILTERS_PER_PEER_MAX_BYTES, FILTERS_PER_PEER_MAX_COUNT } from '../interest/limits.js';

export function refusalText(refusal: Refusal): string {
  return refusal === 'tooManyFilters'
    ? `more than ${FILTERS_PER_PEER_MAX_COUNT} filters`
    : `filters of more than ${FILTERS_PER_PEER_MAX_BYTES} bytes`;
}

/** What a person is to read of a link over which an interest was refused. @param isStanding nothing is sent at all */
export function refusedHereText(refusal: Refusal, isStanding: boolean): string {
  const sent = isStanding ? 'nothing is sent to it' : 'what it wanted before is sent to it';
  return `it wants more than is taken of one gateway, ${refusalText(refusal)}: ${sent}; narrow its mesh.importFilters`;
}

export function refusedThereText(refusal: Refusal): string {
  return `it does not take what is wanted here, ${refusalText(refusal)}: it sends nothing more than before; narrow mesh.importFilters`;
}
