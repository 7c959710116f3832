import type { RestartReason } from './kept-state.js';

/** For people. */
export const RESTART_TEXT: Readonly<Record<RestartReason, string>> = {
  topics: 'it archives other topics than before',
  target: 'it has another archive than before',
  past: 'it was put back to an old copy of its data folder, and has not all of it any more',
  lives: 'it has started too often since to remember what it was then',
};
