/** What a grown interest asks for of what main has sent already: read from the log again, and sent before main goes on. */
import type { LogPosition } from '../../lib/contracts/store.js';
import { CoverLane, type LaneWatcher } from './cover-lane.js';
import { FrameKind } from './frames.js';
import { carriageOf, type InterestMatcher } from './interest.js';
import type { Message } from '../../lib/message/message.js';
import type { Outlet } from './outlet.js';

const NOTHING_AHEAD: LaneWatcher = { isSentAhead: () => false, passed: () => undefined };

export class BackfillLane extends CoverLane {
  /** @param old what main was sending by; undefined: nobody knows any more, and the receiver finds out what it has */
  constructor(
    readonly id: number,
    outlet: Outlet,
    start: LogPosition,
    readonly end: LogPosition,
    private readonly grown: InterestMatcher,
    private readonly old: InterestMatcher | undefined,
  ) {
    super(FrameKind.backfill, outlet, NOTHING_AHEAD, start);
  }

  wants(message: Message): boolean {
    // Those with retain went to everybody.
    if (message.retain || carriageOf(message, this.grown) !== 'acknowledged') return false;
    return this.old === undefined || carriageOf(message, this.old) !== 'acknowledged';
  }

  /** Whether nothing newer of the topic may be sent before this is done. */
  blocks(topic: string): boolean {
    return this.old === undefined || (this.grown(topic) >= 0 && this.old(topic) < 0);
  }
}
