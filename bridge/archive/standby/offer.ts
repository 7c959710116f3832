/**
 * What a gateway tells others of its archive, so that they can finish it: which positions of its log are still to be archived, and how. It is its
 * word for what is done: nobody can see from outside that there was nothing to archive somewhere.
 */
import type { EpochStart, Lineage } from '../../../lib/contracts/epoch.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { type ArchiveConfig, decodeConfig, encodeConfig } from '../archive-config.js';
import { isCount, isHash, isRecord, type KnownEntry } from '../manifest-entry.js';

export interface ArchiveOffer {
  /** The newest lives of the gateway. */
  readonly lineage: Lineage;
  /** The first position that belongs into this archive. */
  readonly begin: LogPosition;
  /** Everything up to here is in the archive, or nothing that belongs there. */
  readonly done: LogPosition;
  /** The newest entry of the manifest, as far as the gateway knows; number 0: none. */
  readonly tip: KnownEntry;
  readonly target: string;
  readonly config: ArchiveConfig;
}

/** As many as gateways tell of when they meet. */
export const OFFERED_LIVES_MAX_COUNT = 64;
const NONCE = /^[0-9a-f]{16}$/;

/** As JSON. The same for the same offer. */
export function offerFields(offer: ArchiveOffer): Readonly<Record<string, unknown>> {
  const { lineage, begin, done, tip, target, config } = offer;
  return {
    lineage: lineage.map(({ counter, nonce, after }) => [counter, nonce, after]),
    ...{ begin, done, tip: [tip.number, tip.hash], target },
    config: Buffer.from(encodeConfig(config)).toString('utf8'),
  };
}

/** @returns undefined: it is none */
export function parseOffer(fields: unknown): ArchiveOffer | undefined {
  if (!isRecord(fields)) return undefined;
  const { begin, done, target, config: configText } = fields;
  const lineage = lineageOf(fields['lineage']);
  const tip = tipOf(fields['tip']);
  const config = typeof configText === 'string' ? decodeConfig(Buffer.from(configText)) : undefined;
  if (lineage === undefined || tip === undefined || config === undefined) return undefined;
  // People see it.
  if (/\p{Cc}/u.test(config.site)) return undefined;
  if (!isCount(begin) || begin === 0 || !isCount(done) || done < begin - 1 || typeof target !== 'string')
    return undefined;
  return { lineage, begin, done, tip, target, config };
}

function lineageOf(value: unknown): Lineage | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > OFFERED_LIVES_MAX_COUNT) return undefined;
  const lives: EpochStart[] = [];
  for (const one of value as readonly unknown[]) {
    const [counter, nonce, after] = Array.isArray(one) ? (one as readonly unknown[]) : [];
    if (!isCount(counter) || counter <= (lives.at(-1)?.counter ?? 0)) return undefined;
    if (typeof nonce !== 'string' || !NONCE.test(nonce) || !isCount(after)) return undefined;
    lives.push({ counter, nonce, after });
  }
  return lives;
}

function tipOf(value: unknown): KnownEntry | undefined {
  const [number, hash] = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (number === 0 && hash === '') return { number: 0, hash: '' };
  return isCount(number) && number > 0 && isHash(hash) ? { number, hash } : undefined;
}
