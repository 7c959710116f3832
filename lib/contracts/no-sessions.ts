import type { DurableSessions } from './store.js';

/** For who opens a store without clients. */
export const NO_SESSIONS: DurableSessions = {
  imageOf: () => undefined,
  forEachBusy: () => undefined,
  restoreSession: () => undefined,
  replayStep: () => undefined,
  replayMessage: () => undefined,
  replayRetained: () => undefined,
  unassigned: () => [],
  restoreUnassigned: () => undefined,
  restored: () => undefined,
};
