/** What can grow here, and how far; and how often gateways compare. */

/** Topics fall into so many buckets by their hash, a power of two. */
export const BUCKET_BITS = 12;
export const BUCKET_COUNT = 1 << BUCKET_BITS;
/** Buckets of one group, and groups: the square root. */
export const GROUP_COUNT = 64;

export const FRAME_SOFT_MAX_BYTES = 245_760;
/** A message that is larger travels in pieces of so many bytes. */
export const PIECE_BYTES = 196_608;
/** What MQTT allows, nearly [MQTT 5, section 2.1.4]. */
export const MESSAGE_MAX_BYTES = 268_435_455;
/** Bytes that are on their way at most: the link has others to carry, too. */
export const WINDOW_BYTES = 1_048_576;
/** The other side hears of what has arrived after so many bytes. */
export const CREDIT_BYTES = 65_536;

/** The first round of a link waits for the streams, which bring what was written while it was down; but not longer than this. */
export const FIRST_ROUND_WITHIN_MS = 10_000;
/** Where nothing differs, gateways compare so often, a quarter more or less. */
export const ROUND_INTERVAL_MS = 60_000;
/** Where something differed they compare again; each time in a row they wait twice as long. */
export const ROUND_AGAIN_MS = 200;

/** About 10 MB. Beyond it the oldest removal goes though not every member has it. */
export const TOMBSTONES_MAX_COUNT = 100_000;
/** Gateways of which it is known how many of their removals are: more are not told, and one that tells more is not understood. */
export const TICKS_MAX_COUNT = 4_096;
