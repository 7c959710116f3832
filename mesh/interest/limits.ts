/** What can grow here, and how far. */

/** Filters that one peer may announce. A site of 10,000 devices with ten filters each. */
export const FILTERS_PER_PEER_MAX_COUNT = 100_000;
/** Of the filters of one peer as text, UTF-8. */
export const FILTERS_PER_PEER_MAX_BYTES = 64 * 1_048_576;
/** An update that is larger comes in several frames: no other channel waits long behind one. */
export const UPDATE_FRAME_MAX_BYTES = 262_144;
/** A whole set of so few filters is sent again with each change unless the change is much smaller. */
export const WHOLE_SET_MAX_COUNT = 1_000;
/** How much smaller. */
export const CHANGE_WORTH = 8;
/** Versions whose changes are remembered. One is a few hundred bytes for a small change. */
export const HISTORY_MAX_VERSIONS = 10_000;
/** How long a SUBACK waits for those who may be slow or gone. */
export const SUBACK_HOLD_MAX_MS = 250;
/** Topics whose verdict by the filters is remembered: where more come in turn each is matched again. */
export const VERDICTS_MAX_COUNT = 1024;
/** Longer topics are matched each time: what is remembered stays below half a megabyte. */
export const VERDICT_TOPIC_MAX_CHARACTERS = 128;
