/** What may grow, and where it ends. */

/** Beyond it nobody new is taken in; a dead member makes room first. */
export const MEMBERS_MAX_COUNT = 1024;
/** Ids that were forgotten for good; the oldest goes first. */
export const FORGOTTEN_MAX_COUNT = 4096;
/** Pings that this gateway sends for others at one time; more are not answered, which costs the asker one of three ways. */
export const RELAYED_MAX_COUNT = 256;
/** Conflicts that are remembered so that each is reported once. */
export const CONFLICTS_MAX_COUNT = 256;

export const SITE_MAX_BYTES = 64;
export const SOFTWARE_MAX_BYTES = 64;
export const ADDRESSES_MAX_COUNT = 8;
/** A host name of 253 characters with a port does not fit; nobody has such a one in a mesh of gateways. */
export const ADDRESS_MAX_BYTES = 128;
export const HEALTH_MAX_COUNT = 8;
export const HEALTH_REASON_MAX_BYTES = 64;
/** One record with everything at its longest, and room for fields of later versions. */
export const RECORD_MAX_BYTES = 4096;
/** Records in one frame or datagram, before its bytes are looked at. */
export const RECORDS_MAX_COUNT = 2048;
export const BODY_MAX_BYTES = 262_144;
/** A frame of records is cut here: well below FRAME_MAX_BYTES, so that no link waits long for one. */
export const STATE_FRAME_BYTES = 131_072;

/**
 * The greatest incarnation. An accusation must stay below it, so that every accusation can be answered: with an incarnation at the end
 * of its range nobody could ever come back (memberlist#358).
 */
export const INCARNATION_MAX = 2 ** 48;
