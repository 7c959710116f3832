/** Limits of the HTTP listener: it answers small questions, and whoever asks badly may not cost the lanes anything. */

/** Request line and headers; beyond it 431. Browsers and scrapers stay below 4 KiB. */
export const HEADERS_MAX_BYTES = 8192;
/** From the first byte of a request to the end of its headers; beyond it 408. */
export const HEADERS_TIMEOUT_MS = 5000;
/** For a whole request. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** How long a connection may be idle between requests; above the 15 s at which scrapers usually come again. */
export const KEEP_ALIVE_TIMEOUT_MS = 20_000;
/** A connection on which nothing moves, e.g. one whose client does not read the answer, is cut. */
export const SOCKET_TIMEOUT_MS = 30_000;
/** Connections at a time; further ones are closed without a word. */
export const CONNECTIONS_MAX_COUNT = 128;
/** How long answers under way may take to leave when the listener closes. */
export const CLOSE_GRACE_MS = 500;
/** Who reads the archive at a time: each holds a file of up to 16 MiB and what is unpacked of it in memory. */
export const ARCHIVE_READERS_MAX_COUNT = 2;
/** Who reads the log at a time: each takes up to a quarter of the thread that serves clients. */
export const LOG_READERS_MAX_COUNT = 2;
/** Archived messages in an answer to who names no limit. */
export const ARCHIVE_LIMIT_COUNT = 10_000;
