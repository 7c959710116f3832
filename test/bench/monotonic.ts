/**
 * The clock that latencies are taken on. `performance.now` starts at another zero in every thread; `process.hrtime` is
 * the machine's monotonic clock in all of them.
 */
export function microseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1e3;
}
