/**
 * What the log of each gateway holds of messages, followed from outside: the gateway's own and those of others. A crash takes what was
 * not committed, a rollback what came after the image was made.
 */
import { isSameEpoch, type Epoch, type EpochStart, type Lineage } from '../../../lib/contracts/epoch.js';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { compareVersions, type RetainedVersion } from '../../../lib/contracts/streams.js';
import type { Message } from '../../../lib/message/message.js';
import type { Mid } from '../../history/event.js';
import { parsePayload } from '../../history/payload.js';

export interface LedgerEntry {
  readonly position: LogPosition;
  readonly byStream: boolean;
  readonly topic: string;
  /** undefined: no payload that names a message. */
  readonly mid: Mid | undefined;
  readonly retain: boolean;
  readonly isEmpty: boolean;
  /** It was not given to subscribers. */
  readonly isAhead: boolean;
  /** It was retained before it was committed, and what was not committed by then came behind it. */
  readonly isAtOnce: boolean;
  /** Up to where the log was committed when it was appended. */
  readonly committed: LogPosition;
  /** undefined: its own. */
  readonly source: { readonly origin: GatewayId; readonly epoch: Epoch } | undefined;
  readonly sequence: LogPosition;
  readonly retainedCounter: number;
}

/** What was committed on a disk, in which lives, from an image of it to its end. */
interface DiskHistory {
  readonly lineage: Lineage;
  readonly committed: LogPosition;
}

export type Complaint = (invariant: string, text: string) => void;

const isOwn = (entry: LedgerEntry): entry is LedgerEntry & { readonly mid: Mid } =>
  entry.source === undefined && entry.mid !== undefined;

const nameOf = ({ pub, seq }: Mid): string => `${pub}/${seq}`;

/** One gateway's. */
export class GatewayLedger {
  readonly id: GatewayId;
  /** In the order of positions. */
  entries: LedgerEntry[] = [];
  /** Those that a rollback took and that nobody else has: `pub/seq`. */
  readonly lost = new Set<string>();
  /** Those of its own that an image has, and that it had taken in once more when it was put back to it: `pub/seq`. */
  readonly #twice = new Set<string>();
  lineage: Lineage = [];
  #replaced: LedgerEntry[] = [];
  /** Everything that was ever committed in the present history of the disk. */
  committed: LogPosition = 0;
  readonly #run: string;
  readonly #complain: Complaint;
  /** `origin counter/nonce sequence` of what came from others. */
  readonly #keys = new Set<string>();
  /** Those that a rollback has ended, oldest first: what they forwarded may be on its way still, or wait for a gateway that is frozen. */
  readonly #ended: DiskHistory[] = [];
  /** By origin, up to which of its histories something came from. */
  readonly #reached = new Map<GatewayId, number>();
  readonly #mids = new Set<string>();

  constructor(id: GatewayId, run: string, complain: Complaint) {
    this.id = id;
    this.#run = run;
    this.#complain = complain;
  }

  /** @param byStream in the order of its origin's log, and not because retained messages were compared */
  appended(
    message: Message,
    position: LogPosition,
    byStream: boolean,
    originOf: (id: GatewayId) => GatewayLedger | undefined,
  ): void {
    const { topic, source, sequence, retain, retainedCounter } = message;
    if (position === 0) return;
    const parsed = parsePayload(Buffer.from(message.payload), this.#run, topic);
    const mid = parsed.kind === 'message' ? parsed.mid : undefined;
    const entry: LedgerEntry = {
      ...{ position, byStream, topic, mid, retain, source, sequence, retainedCounter },
      isEmpty: message.payloadLength === 0,
      isAhead: message.aheadOfStream,
      isAtOnce: source === undefined ? message.qos === 0 : !byStream,
      committed: this.committed,
    };
    if (source !== undefined && byStream) this.#judge(entry, originOf(source.origin));
    this.#keep(entry);
  }

  has(mid: Mid): boolean {
    return this.#mids.has(nameOf(mid));
  }

  /** A retained message came from another gateway, behind a newer one of its topic that a third one, or this one, took in. */
  wasOvertaken(mid: Mid): boolean {
    const late = this.entries.find(
      (one) => one.byStream && one.mid?.pub === mid.pub && one.mid.seq === mid.seq,
    );
    if (late?.source === undefined || !late.retain) return false;
    const { origin } = late.source;
    const version = this.versionOf(late);
    return this.entries.some(
      (one) =>
        one.topic === late.topic &&
        one.retain &&
        (one.position < late.position || (one.isAtOnce && one.committed < late.position)) &&
        one.source?.origin !== origin &&
        !one.isAhead &&
        compareVersions(this.versionOf(one), version) > 0,
    );
  }

  isLost(mid: Mid): boolean {
    return this.lost.has(nameOf(mid));
  }

  /** A crash took it, its publisher sent it again, and the image that the gateway was put back to has the first copy. */
  wasTakenTwice(mid: Mid): boolean {
    return this.#twice.has(nameOf(mid));
  }

  /**
   * The disk is what it was when an image of it was made, and goes on differently. Of what was not synced then a crash may have taken a part
   * that the image has: what stands at a position is that of the image.
   * @param entries as they were then
   */
  putBack(lineage: Lineage, entries: readonly LedgerEntry[]): void {
    const { committed } = this;
    this.#ended.push({ lineage: this.lineage, committed });
    this.lineage = lineage;
    const there = new Set(entries);
    this.#replaced = this.entries.filter((entry) => !there.has(entry));
    this.entries = [...entries];
    const taken = new Set(entries.filter(isOwn).map(({ mid }) => nameOf(mid)));
    for (const { mid } of this.#replaced.filter(isOwn))
      if (taken.has(nameOf(mid))) this.#twice.add(nameOf(mid));
  }

  /** The log ends here. @returns what is in it no more */
  truncate(head: LogPosition): readonly LedgerEntry[] {
    const kept = this.entries.filter(({ position }) => position <= head);
    const gone = [...this.entries.filter(({ position }) => position > head), ...this.#replaced];
    this.#replaced = [];
    this.entries = [];
    this.#keys.clear();
    this.#mids.clear();
    for (const entry of kept) this.#keep(entry);
    this.committed = Math.min(this.committed, head);
    return gone;
  }

  epochAt(position: LogPosition): EpochStart | undefined {
    return lifeAt(this.lineage, position);
  }

  versionOf(entry: LedgerEntry): RetainedVersion {
    const { source, sequence, position, retainedCounter } = entry;
    const epoch = source?.epoch ?? this.epochAt(position) ?? { counter: 0, nonce: '' };
    return {
      ...{ counter: retainedCounter, origin: source?.origin ?? this.id, epoch },
      sequence: source === undefined ? position : sequence,
    };
  }

  #keep(entry: LedgerEntry): void {
    this.entries.push(entry);
    if (entry.source !== undefined && entry.byStream) this.#keys.add(keyOf(entry.source, entry.sequence));
    if (entry.mid !== undefined) this.#mids.add(nameOf(entry.mid));
  }

  #judge({ source, sequence, topic }: LedgerEntry, origin: GatewayLedger | undefined): void {
    if (source === undefined) return;
    if (topic.startsWith('$')) this.#complain('what begins with $ stays at its gateway', topic);
    if (this.#keys.has(keyOf(source, sequence)))
      this.#complain(
        'a message of another gateway is in the log once',
        `${keyOf(source, sequence)} in ${this.id.slice(0, 2)}`,
      );
    if (origin === undefined) return;
    if (source.origin === this.id) this.#complain('no message comes back to its origin', `${sequence}`);
    const histories = [...origin.#ended, { lineage: origin.lineage, committed: origin.committed }];
    const isOfLife = ({ lineage }: DiskHistory): boolean => {
      const start = lifeAt(lineage, sequence);
      return start !== undefined && isSameEpoch(start, source.epoch);
    };
    const has = (history: DiskHistory): boolean => isOfLife(history) && sequence <= history.committed;
    const newest = histories.findLastIndex(has);
    if (newest < 0) {
      const name = `${sequence} of ${origin.id.slice(0, 2)}`;
      if (histories.some(isOfLife))
        this.#complain('only what is committed is forwarded', `${name}, committed up to ${origin.committed}`);
      else
        this.#complain(
          'a message is of the life in which it was taken in',
          `${name} is of epoch ${origin.epochAt(sequence)?.counter}, and came as of epoch ${source.epoch.counter}`,
        );
      return;
    }
    // Who has met the gateway since its rollback is on a link with what it is now.
    const reached = this.#reached.get(origin.id) ?? 0;
    if (newest < reached)
      this.#complain(
        'what a rollback took does not come behind what came after it',
        `${sequence} of ${origin.id.slice(0, 2)} of epoch ${source.epoch.counter}`,
      );
    this.#reached.set(origin.id, Math.max(reached, histories.findIndex(has)));
  }
}

function lifeAt(lineage: Lineage, position: LogPosition): EpochStart | undefined {
  return lineage.findLast(({ after }, index) => position > after || index === 0);
}

function keyOf({ origin, epoch }: { origin: GatewayId; epoch: Epoch }, sequence: LogPosition): string {
  return `${origin.slice(0, 4)} ${epoch.counter}/${epoch.nonce} ${sequence}`;
}
