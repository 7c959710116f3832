/**
 * The door as Aedes keeps it: negotiate, ask for credentials, then, once admitted, some work of its own before CONNACK and some more before
 * it is ready, none of which can be interrupted.
 */
import type { Connection } from '../../lib/connection/connection.js';
import type { AuthenticateHook, Door, DoorSession, Refusal } from '../../lib/connection/environment.js';
import type {
  AuthenticationResult,
  Authenticator,
  Credentials,
  EnhancedExchange,
} from '../../lib/contracts/security.js';
import { ReasonCode } from '../../lib/protocol/reason-code.js';
import { C } from '../../lib/telemetry/counters.js';
import type { Random } from './random.js';
import type { Steps } from './scheduler.js';
import type { Served } from './served.js';

export interface DoorOptions {
  readonly negotiateMaxMs: number;
  readonly authenticateMaxMs: number;
  /** Between admitted and CONNACK, and between CONNACK and ready. */
  readonly finishMaxMs: number;
  /** How many of the connections are authenticated by an embedder's hook in place of the authenticator. */
  readonly hookShare: number;
}

/** What happens at the door, for the ledgers. */
export interface DoorObserver {
  servedBy(connection: Connection): Served;
  opened(served: Served): void;
  /** Its credentials passed. */
  claimed(served: Served): void;
  granted(served: Served): void;
  connackWritten(served: Served): void;
  over(served: Served): void;
  fail(invariant: string, text: string): void;
}

/** Clients with this password are turned away. */
export const WRONG_PASSWORD = 'wrong';

export class SimDoor implements Door, Authenticator {
  readonly methods: readonly string[] = [];
  readonly #scheduler: Steps;
  readonly #random: Random;
  readonly #options: DoorOptions;
  readonly #observer: DoorObserver;
  /** Whose `admit` is running: the authenticator is asked from inside. */
  #asking: Served | undefined;

  constructor(scheduler: Steps, random: Random, options: DoorOptions, observer: DoorObserver) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#options = options;
    this.#observer = observer;
  }

  open(connection: Connection): DoorSession {
    const served = this.#observer.servedBy(connection);
    served.phase = 'negotiating';
    this.#observer.opened(served);
    this.#later(served, this.#options.negotiateMaxMs, 'negotiate', () => this.#admit(served));
    return { handle: served, closed: () => this.#closed(served) };
  }

  async authenticate(credentials: Credentials): Promise<AuthenticationResult> {
    const served = this.#asking;
    const wrong =
      credentials.password !== undefined && Buffer.from(credentials.password).toString() === WRONG_PASSWORD;
    await new Promise<void>((resolve) => {
      this.#scheduler.after(this.#random.delay(this.#options.authenticateMaxMs), 'authenticated', () => {
        if (served !== undefined && !wrong) this.#claiming(served);
        this.#scheduler.settle();
        resolve();
      });
    });
    return wrong
      ? { ok: false, reasonCode: ReasonCode.badUserNameOrPassword }
      : { ok: true, username: credentials.username };
  }

  startExchange(): EnhancedExchange | undefined {
    return undefined;
  }

  #admit(served: Served): void {
    const { connection } = served;
    if (connection.admission.negotiate() === undefined) return;
    served.phase = 'authenticating';
    this.#asking = served;
    const hook = this.#random.chance(this.#options.hookShare) ? this.#createHook(served) : undefined;
    connection.admission.admit(hook, (refusal) => {
      if (refusal === undefined) this.#granted(served);
    });
    this.#asking = undefined;
  }

  #createHook(served: Served): AuthenticateHook {
    const { password } = served.connection.connect ?? {};
    const refusal: Refusal | undefined =
      password !== undefined && Buffer.from(password).toString() === WRONG_PASSWORD
        ? {
            reasonCode: ReasonCode.badUserNameOrPassword,
            text: 'the hook refuses',
            counter: C.connectionRefusedHook,
          }
        : undefined;
    return (done) => {
      this.#scheduler.after(this.#random.delay(this.#options.authenticateMaxMs), 'hook answered', () => {
        if (refusal === undefined) this.#claiming(served);
        done(refusal);
      });
    };
  }

  #claiming(served: Served): void {
    if (served.phase !== 'authenticating') return;
    served.phase = 'claiming';
    this.#observer.claimed(served);
  }

  #granted(served: Served): void {
    served.phase = 'accepting';
    this.#observer.granted(served);
    this.#later(served, this.#options.finishMaxMs, 'connack', () => {
      served.connection.admission.writeConnack();
      this.#observer.connackWritten(served);
      this.#later(served, this.#options.finishMaxMs, 'ready', () => {
        served.phase = 'ready';
        served.connection.ready();
      });
    });
  }

  #closed(served: Served): void {
    if (served.phase === 'over') this.#observer.fail('the door hears of an end once', served.clientId);
    if (served.phase === 'accepting') {
      this.#observer.fail('an end between admitted and ready waits for ready', served.clientId);
    }
    served.phase = 'over';
    this.#observer.over(served);
  }

  /** A door that was told of the end calls nothing any more. */
  #later(served: Served, maxMs: number, label: string, step: () => void): void {
    this.#scheduler.after(this.#random.delay(maxMs), label, () => {
      if (served.phase !== 'over') step();
    });
  }
}
