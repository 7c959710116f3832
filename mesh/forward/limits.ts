/** What can grow in forwarding, and where it ends. All bytes are of encoded frames unless said otherwise. */

/** What a receiver takes before it has committed it, where nothing else is set. */
export const CREDIT_BYTES = 4 * 1024 * 1024;
/** Of a batch: large enough that its frame costs nothing, small enough that what waits behind it does not wait long. */
export const BATCH_MAX_BYTES = 256 * 1024;
/** Of one piece of a frame that is too large for the link (FRAME_MAX_BYTES). */
export const PART_BYTES = 512 * 1024;
/** Of a frame that comes in parts, where nothing else is set: the largest message that gateways pass to each other. */
export const WHOLE_MAX_BYTES = 16 * 1024 * 1024;
/** Messages of a live peer that wait in memory, by weight and count; then they are read from the log again. */
export const LIVE_MAX_BYTES = 1024 * 1024;
export const LIVE_MAX_COUNT = 4096;
/** Read from the log at once. */
export const READ_BYTES = 128 * 1024;
/** Sent of a backlog at once, at most: what the receiver is busy with for a few milliseconds. */
export const BACKLOG_BATCH_BYTES = 48 * 1024;
/** What a backlog may always have on its way, in two batches: a process that has just started is busy with them for some 25 ms. */
export const BACKLOG_MIN_BYTES = 32 * 1024;
/** Positions that a stream brings within seconds. */
export const SOON_POSITIONS = 200_000;
/** Topics that are known to have something pending; beyond it nothing overtakes until the backlog is done. */
export const PENDING_TOPICS_MAX = 100_000;
/** Messages that a receiver has ahead of what it has covered. */
export const HAVE_MAX = 100_000;
/** Messages that a receiver remembers while a backfill is going on: what a full credit of the smallest messages may hold. */
export const SINCE_MAX = 1_000_000;
/** The share of the credit that a backlog may take, so that live messages always get through. */
export const BACKLOG_SHARE = 0.75;
/** Positions that passed without a message are told this often, and this many at the latest. */
export const IDLE_COVER_MS = 500;
export const IDLE_COVER_POSITIONS = 4096;
/** A link that took messages and acknowledged nothing for so long is rebuilt. */
export const STALL_MS = 5000;
/** Messages of QoS 0 behind so many bytes that the link has not sent yet are dropped. */
export const PASSING_QUEUED_MAX_BYTES = 1024 * 1024;
export const PASSING_BATCH_BYTES = 64 * 1024;
/** Topics and client ids of all other gateways that are kept decoded; a power of two. */
export const TEXT_SLOTS = 16_384;
/** How long live messages may wait for what a backlog has on its way, besides twice what an acknowledgement takes. */
export const BACKLOG_DELAY_MS = 8;
/** The same where nothing live has gone this way for a while: the first that comes waits so long, and then the backlog makes room. */
export const BACKLOG_ALONE_DELAY_MS = 50;
export const ALONE_AFTER_MS = 250;
