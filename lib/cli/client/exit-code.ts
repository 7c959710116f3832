/**
 * Exit codes of `pub` and `sub`. A refused connection ends with the return or reason code of CONNACK, as mosquitto_pub and
 * mosquitto_sub do; so does, other than there, a refused publish or subscription.
 */
export const ClientExitCode = {
  done: 0,
  /** A wrong command line, or no connection. */
  failed: 1,
  /** MOSQ_ERR_TIMEOUT: the time of `-W` is over. */
  timedOut: 27,
} as const;
