/** How long a proven link may be without the first frame. */
export const HELLO_WITHIN_MS = 3000;
/** `tick` is to be called so often. */
export const TICK_MS = 50;
/** A SUBACK waits so long for others at most: with a tick on top it is less than a quarter of a second. */
export const SUBACK_HOLD_MS = 200;
