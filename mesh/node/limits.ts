/** How long a proven link may be without the first frame. */
export const HELLO_WITHIN_MS = 3000;
/** Of this gateway: remembered for as long as what is retained since then is known by the life in which it was published. */
export const LIVES_MAX_COUNT = 4096;
/**
 * Gateways that were ever met and are not known to have gone for good: for each of them log and removals are kept. Beyond it strangers are not met:
 * were those who are known let go instead, whoever makes up identities could take away what waits for them.
 */
export const PEERS_MAX_COUNT = 4096;
/** Objects for lives of others, so that messages of one life share one; what does not fit is made anew. */
export const SOURCES_MAX_COUNT = 4096;
/** `tick` is to be called so often. */
export const TICK_MS = 50;
/** A member without a link for so long is reached through another one. */
export const RELAY_AFTER_MS = 3000;
/** One neighbour after the other is asked. */
export const RELAY_AGAIN_MS = 1000;
/** Waiting for one gateway at the one in the middle: its memory is not for a pair that cannot talk. */
export const RELAY_MAX_QUEUED_BYTES = 8 * 1_048_576;
export const RELAYED_MAX_COUNT = 256;
/**
 * What a third gateway tells of is given to subscribers when the stream of its origin brings it, behind what that owes them first; but not
 * later than this after the last link to the origin: one that is gone for good owes for ever.
 */
export const AHEAD_MAX_MS = 30_000;
/** Whether a stream is still to bring what was told of is looked at. */
export const AHEAD_EVERY_MS = 1000;
/**
 * What is known of the removals of others reaches the log so soon, and no sooner: it changes with each of them, and is some kilobytes. Nobody relies
 * on it before a tombstone is a day old.
 */
export const NOTE_EVERY_MS = 60_000;
/** Tombstones that every member knows of go. */
export const SWEEP_EVERY_MS = 10_000;
/** Of one frame of an archive, where the link is not to be spared: as much as a backlog always has on its way. */
export const ARCHIVE_FRAME_MAX_BYTES = 32 * 1024;
/** And where it is: below it heads weigh more than what is in them. */
export const ARCHIVE_FRAME_MIN_BYTES = 1024;
/** Behind so many bytes that the link has not sent yet frames of an archive wait. */
export const ARCHIVE_LINK_QUEUED_MAX_BYTES = 65_536;
/** What waits for one gateway: twice what the other end asks for before any of it comes. */
export const ARCHIVE_LANE_MAX_BYTES = 2 * 1_048_576;
