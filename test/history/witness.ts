/** The events that show a violation: those of its messages, and those of its sessions around it. */
import type { HistoryEvent, Mid } from './event.js';
import type { Finding } from './verdict.js';

/** Events of the messages, from the beginning. */
const MESSAGE_EVENTS_MAX_COUNT = 40;
/** Of a session before and after; and as many that connected, ended and subscribed it. */
const AROUND_COUNT = 20;

const KEEPS: ReadonlySet<HistoryEvent['e']> = new Set([
  'conn!',
  'conn.',
  'disc',
  'sub!',
  'sub.',
  'unsub!',
  'unsub.',
]);

const keyOf = ({ pub, seq }: Mid): string => `${pub}/${seq}`;

/** What an event is about; of a CONNECT its will. */
function midOf(event: HistoryEvent): Mid | undefined {
  if (event.e === 'conn!') return event.will?.m;
  return 'm' in event ? (event.m ?? undefined) : undefined;
}

class Gathering {
  readonly #finding: Finding;
  readonly #mids: ReadonlySet<string>;
  readonly #events = new Map<number, HistoryEvent>();
  /** By what they are for; the newest until the time of the finding, then the first after it. */
  readonly #recent: { index: number; event: HistoryEvent }[][] = [[], [], []];
  #ofMessage = 0;
  #after = 0;

  constructor(finding: Finding) {
    this.#finding = finding;
    this.#mids = new Set(finding.mids.map(keyOf));
  }

  see(index: number, event: HistoryEvent, atMs: number, cid: string | undefined): void {
    const mid = midOf(event);
    if (mid !== undefined && this.#mids.has(keyOf(mid)) && this.#ofMessage < MESSAGE_EVENTS_MAX_COUNT) {
      this.#ofMessage++;
      this.#events.set(index, event);
    }
    const isFault = event.e === 'fault' || event.e === 'heal';
    if (!isFault && (cid === undefined || !this.#finding.cids.includes(cid))) return;
    if (atMs > this.#finding.atMs) {
      if (this.#after++ < AROUND_COUNT) this.#events.set(index, event);
      return;
    }
    const recent = this.#recent[isFault ? 0 : KEEPS.has(event.e) ? 1 : 2];
    recent?.push({ index, event });
    if ((recent?.length ?? 0) > AROUND_COUNT) recent?.shift();
  }

  get witness(): HistoryEvent[] {
    for (const { index, event } of this.#recent.flat()) this.#events.set(index, event);
    return [...this.#events].sort(([a], [b]) => a - b).map(([, event]) => event);
  }
}

/** Reads the history again. @returns for each finding its events. */
export function gatherWitnesses(
  events: Iterable<HistoryEvent>,
  findings: readonly Finding[],
): (readonly HistoryEvent[])[] {
  const gatherings = findings.map((finding) => new Gathering(finding));
  const cids = new Map<string, string>();
  let startNs: bigint | undefined;
  let index = 0;
  for (const event of events) {
    startNs ??= event.t;
    if (event.e === 'conn!') cids.set(event.p, event.cid);
    const atMs = Number(event.t - startNs) / 1e6;
    for (const gathering of gatherings) gathering.see(index, event, atMs, cids.get(event.p));
    index++;
  }
  return gatherings.map(({ witness }) => witness);
}
