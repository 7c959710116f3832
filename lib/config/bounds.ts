/** Bounds that more than one key shares. */
export const KIB = 1024;
export const MIB = 1024 * KIB;
/** Largest Remaining Length plus its fixed header [MQTT 5, table 2-1 and section 1.5.5]. */
export const PACKET_BYTES_MAX = 268_435_460;
/** The Session Expiry Interval that never ends [MQTT 5, section 3.1.2.11.2]. */
export const SECONDS_FOR_EVER = 4_294_967_295;
/** Beyond these a number is a slip of the finger on the machines this is for. */
export const COUNT_MAX = 100_000_000;
export const BYTES_MAX = 1_048_576 * MIB;
