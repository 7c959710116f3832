/** Every number that bounds the transport, with its reason. */
import { FRAME_MAX_BYTES } from '../link/peer-link.js';

/** From a connection to the proof on it. A stranger costs this long; a member on a satellite link needs a third of it. */
export const PROOF_TIMEOUT_MS = 3000;
/** Incoming connections without a proof: in all, and from one address (a site behind one NAT restarts as a whole, so not one). */
export const UNPROVEN_MAX_COUNT = 32;
export const UNPROVEN_PER_ADDRESS_MAX_COUNT = 4;
/** What may be said before the proof: it has 32 bytes, and a Noise message of XX at most 112. */
export const UNPROVEN_MESSAGE_MAX_BYTES = 256;

/** Proven, and waiting for the other side to say which connection of the pair is used. */
export const CHOICE_TIMEOUT_MS = 5000;
/** Within which a link that is to be replaced by an equal one has to show that it is alive. */
export const QUICK_PING_MS = 500;

/** A byte at least every second in both directions: Noise messages without content where nothing else is said. */
export const KEEP_ALIVE_MS = 1000;
export const TICK_MS = 250;
/** Without a byte for so many ticks the link is dead. Ticks, not milliseconds: a process that stood still has not listened. */
export const SILENT_MAX_TICKS = 8;
export const RTT_EVERY_TICKS = 20;
/** Something queued and nothing leaves: the other side does not read. One frame of 1 MiB takes a minute at 17 KiB/s. */
export const STALLED_MAX_TICKS = 240;

/** From here on `send` answers false. */
export const QUEUE_HIGH_WATER_BYTES = 262_144;
/** `onDrain` comes already here, so that the next frames are there before the last have left. */
export const QUEUE_LOW_WATER_BYTES = 131_072;
/** Who goes on regardless loses the link: its memory is not for a peer that does not read. */
export const QUEUE_MAX_BYTES = 16_777_216;
/** Beyond it datagrams are dropped that would wait behind frames: they are worth nothing late. */
export const DATAGRAM_QUEUE_MAX_BYTES = 1_048_576;
/** A frame with its channel in one encrypted message: a byte for the channel, 17 of encryption. */
export const MESSAGE_MAX_BYTES = FRAME_MAX_BYTES + 1 + 17;
/** How far behind the newest a datagram may come. */
export const REPLAY_WINDOW = 1024;

/** Until what was written has left, when a connection is closed; also for the DHT node. Then it is cut. */
export const CLOSE_GRACE_MS = 500;

/** Between attempts: 250 ms, doubled each time, with full jitter. 15 s: a peer that comes back is reached soon. */
export const REDIAL_START_MS = 250;
export const REDIAL_CAP_MS = 15_000;
/** A link that lived shorter does not make the next attempt sooner: something closes it. */
export const LIVED_MS = 5000;
/** Of the two only one dials at first; the other gives it this long. */
export const DIAL_SECOND_DELAY_MS = 200;
/** TCP is tried over a UDX link more rarely: the link works. */
export const UPGRADE_START_MS = 1000;
export const UPGRADE_CAP_MS = 300_000;
/** One attempt over one address. UDX takes 4 s to say that nobody answers. */
export const TCP_DIAL_TIMEOUT_MS = 3000;
export const UDX_DIAL_TIMEOUT_MS = 6000;
/**
 * With one port of 64,500 tried every 20 ms, of which 256 are open: 94 of 100 searches have found one by then. hyperdht wants the rest
 * between two.
 */
export const RANDOM_PUNCH_TIMEOUT_MS = 15_000;
export const RANDOM_PUNCH_REST_MS = 20_000;
/** Between two searches for one gateway, doubled each time. An hour: 15 s of 50 small packets are 45 kB, a megabyte a day. */
export const RANDOM_PUNCH_START_MS = 30_000;
export const RANDOM_PUNCH_CAP_MS = 3_600_000;
/** Nodes of the hash table that have to see a gateway before it is known what its router does. */
export const OBSERVERS_MIN_COUNT = 3;
/** After the direct TCP addresses: direct UDX, and then the DHT. */
export const UDX_DIAL_DELAY_MS = 150;
export const DHT_DIAL_DELAY_MS = 400;
/** Of a peer, tried at once. */
export const TCP_DIAL_MAX_COUNT = 6;
export const UDX_DIAL_MAX_COUNT = 4;

export const BOOK_PEERS_MAX_COUNT = 1024;
export const BOOK_ADDRESSES_MAX_COUNT = 16;
export const BOOK_SAVE_MS = 10_000;
/** Who is new is written down at once: after a loss of power there may be no other way to it. */
export const BOOK_SAVE_NEW_MS = 100;
/** Peers that discovery tells of and that nobody wants: strangers may announce themselves, so they are few and soon forgotten. */
export const DISCOVERED_MAX_COUNT = 256;
export const DISCOVERED_ATTEMPTS_MAX_COUNT = 6;

/** After the start: those who start together see each other's announcements only then. */
export const REFRESH_EARLY_MS = [2000, 10_000, 60_000] as const;
export const REFRESH_MS = 600_000;
/** While a member has no link. */
export const REFRESH_MISSING_MS = 30_000;
export const REFRESH_SOONEST_MS = 5000;

export const LAN_QUERY_MS = [0, 1000, 5000] as const;
export const LAN_QUERY_EVERY_MS = 60_000;
/** Answers of everyone to one question spread over so long (RFC 6762 section 6). */
export const LAN_ANSWER_JITTER_MS = 100;
export const LAN_ANSWER_SOONEST_MS = 1000;
/** Networks come and go: a cable, a modem, an access point that was switched on. */
export const LAN_INTERFACES_EVERY_MS = 5000;
/** Linux lets a socket be a member of 20 groups (igmp_max_memberships); on a host of many containers not every bridge is a LAN. */
export const LAN_INTERFACES_MAX_COUNT = 16;
