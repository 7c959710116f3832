/** What can grow between two gateways of which one archives for the other, and where it ends. */

/** Of a body that is asked for at once: what waits behind it on a thin line does not wait long. */
export const PULL_BYTES = 32 * 1024;
/** Asked for and not come, of one gateway. It bounds bytes per round trip. */
export const PULLED_MAX_BYTES = 1_048_576;
/** How long live messages may wait for what is on its way, besides twice what a piece takes. */
export const PULL_DELAY_MS = 8;
/** No piece within this: nobody sends it any more. The slowest `archive.uploadMaxBytesPerSecond` that gets through is 273. */
export const PULL_WITHIN_MS = 120_000;
/** Of an object, read at once. */
export const READ_MAX_BYTES = 32 * 1024;
/** Of an object that is read as a whole: a page of 256 manifest entries is some megabytes. */
export const WHOLE_MAX_BYTES = 64 * 1_048_576;
/** The largest `archive.fileMaxBytes`, as lines of JSON that are longer than their messages. */
export const OBJECT_MAX_BYTES = 32 * 1024 * 1_048_576;
/** Of one gateway, under way: an archiver has one. */
export const REQUESTS_MAX_COUNT = 8;
/** Of one gateway: each may cost a request to a store that is paid for. Who begins reads 256 entries within five seconds. */
export const REQUESTS_PER_SECOND = 50;
/**
 * Pieces of bodies in memory, of all gateways: eight large files at a time to `s3://` (`archive.s3.partBytes`), 64 to a folder. Lines are thin, and
 * who holds a place may hold it for minutes. One that is larger goes alone.
 */
export const BODIES_MAX_BYTES = 64 * 1_048_576;
/** From the last that was heard of a request to giving it up: a store may take its time (`archive.s3.timeoutMs`), some requests of it in a row. */
export const ANSWER_WITHIN_MS = 300_000;
/** Where no gateway offers an archive: links come up within this. */
export const OFFER_WITHIN_MS = 10_000;
export const TEXT_MAX_BYTES = 512;
