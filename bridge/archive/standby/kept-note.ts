/** What a gateway writes down of what it keeps of another one's archive. */
import { isCount, isRecord } from '../manifest-entry.js';
import type { KeptMark, KeptState } from './kept-state.js';
import { offerFields, parseOffer } from './offer.js';

/** What is kept is being brought into the archive of its origin. */
export interface Finish {
  /** Positions that are known of, and not kept, are told there as lost. */
  readonly tellsRest: boolean;
}

export interface SavedState {
  readonly state: KeptState;
  readonly finish: Finish | undefined;
}

export function encodeSaved({ state, finish }: SavedState): Uint8Array {
  const { offer, ...rest } = state;
  return Buffer.from(
    JSON.stringify({ ...rest, offer: offerFields(offer), tellsRest: finish?.tellsRest }),
    'utf8',
  );
}

/** @returns undefined: nothing is kept */
export function decodeSaved(bytes: Uint8Array | undefined): SavedState | undefined {
  if (bytes === undefined || bytes.length === 0) return undefined;
  const fields: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
  if (!isRecord(fields)) return undefined;
  const { run, after, upTo, head, marks, bytes: size, scanned, tellsRest } = fields;
  const offer = parseOffer(fields['offer']);
  if (offer === undefined || !Array.isArray(marks) || !marks.every(isMark)) return undefined;
  if (!isCount(run) || !isCount(after) || !isCount(upTo) || !isCount(head)) return undefined;
  if (!isCount(size) || !isCount(scanned)) return undefined;
  return {
    state: { run, offer, after, upTo, head, marks, bytes: size, scanned },
    finish: typeof tellsRest === 'boolean' ? { tellsRest } : undefined,
  };
}

const isMark = (value: unknown): value is KeptMark =>
  Array.isArray(value) && value.length === 2 && value.every(isCount);
