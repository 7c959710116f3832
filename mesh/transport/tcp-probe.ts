import { connect } from 'node:net';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { HostPort } from './address.js';
import { TCP_DIAL_TIMEOUT_MS } from './limits.js';
import { reasonOf } from './reasons.js';

/** How long a connection took, or why there is none. */
export type TcpFound = { readonly tookMs: number } | { readonly failure: string };

/** Connects and hangs up: nothing is said. Never rejects. */
export function probeTcp(address: HostPort, clock: Clock, timers: Timers): Promise<TcpFound> {
  return new Promise((resolve) => {
    const begin = clock.now();
    const socket = connect(address.port, address.host);
    const settle = (found: TcpFound): void => {
      timer.cancel();
      socket.destroy();
      resolve(found);
    };
    const timer = timers.after(TCP_DIAL_TIMEOUT_MS, () =>
      settle({ failure: `timeout: no answer within ${TCP_DIAL_TIMEOUT_MS / 1000} s` }),
    );
    socket.once('connect', () => settle({ tookMs: clock.now() - begin }));
    // It may fail once more after it was given up.
    socket.on('error', (error) => settle({ failure: reasonOf(error, address) }));
  });
}
