import type { Connection } from './connection.js';
import type { Session } from './session.js';

/** What the broker may and must find when a connection asks for its session. */
export interface Expectation {
  readonly certain: boolean;
  readonly possible: boolean;
  /** A connection that nobody heard the answer of may have made one. */
  readonly made: boolean;
}

/** Everything about one client id: its session, and who has asked for it without an answer. */
export class ClientRecord {
  session: Session | undefined;
  /** Connections that are open as far as their clients know, accepted or not. */
  readonly open = new Set<Connection>();
  /** A connection ended before CONNACK came: its session may have been made, or ended by a clean start. */
  #maybeMade = false;
  #maybeReplaced = false;

  /** A connection has ended before it was accepted. */
  unanswered({ clean }: Connection): void {
    this.#maybeMade = true;
    this.#maybeReplaced ||= clean;
  }

  /** At the CONNACK of `connection`. */
  expectation(connection: Connection, noticeMs: number): Expectation {
    if (connection.clean) return { certain: false, possible: false, made: false };
    const { session } = this;
    const others = [...this.open].filter((other) => other !== connection && !other.accepted);
    const made = this.#maybeMade || others.length > 0;
    return {
      made,
      certain:
        session !== undefined &&
        !this.mayBeReplaced(connection) &&
        session.certainUntilMs() > connection.acceptedAtMs,
      possible:
        made || (session !== undefined && session.possibleUntilMs(noticeMs) >= connection.invokedAtMs),
    };
  }

  /** Whether a clean start that nobody heard of may have ended the session. */
  mayBeReplaced(connection: Connection): boolean {
    return (
      this.#maybeReplaced ||
      [...this.open].some((other) => other !== connection && !other.accepted && other.clean)
    );
  }

  /** A CONNACK tells where it stands. */
  settled(): void {
    this.#maybeMade = false;
    this.#maybeReplaced = false;
  }
}
