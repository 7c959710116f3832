import type { Connection } from '../model/connection.js';
import type { HistoryModel } from '../model/history-model.js';

/**
 * What must become of the will of a connection [MQTT 5, 3.1.2.5]:
 *
 *     open, or DISCONNECT 0x00 ──────────────▶ never
 *     any other end ──▶ delay ──▶ due              ▲
 *                         ├── session resumed ─────┘
 *                         └── session ended ──▶ due at once
 *
 * `either` where nobody can tell which of two happened.
 */
export type Fate = { readonly kind: 'never'; readonly why: string } | { readonly kind: 'either' } | Due;
interface Due {
  readonly kind: 'due';
  readonly earliestMs: number;
  readonly latestMs: number;
}

const EITHER: Fate = { kind: 'either' };

/** @param others connections of the same client id. */
export function fateOf(
  connection: Connection,
  delayS: number,
  others: readonly Connection[],
  model: HistoryModel,
): Fate {
  if (connection.refused) return { kind: 'never', why: 'was published though its connection was refused' };
  if (!connection.accepted) return EITHER;
  const { end, evidenceAtMs, endedAtMs } = connection;
  const broken = model.faults.overlaps(evidenceAtMs, endedAtMs);
  if (end === undefined)
    return broken ? EITHER : { kind: 'never', why: 'was published while it was connected' };
  const forgotten = model.faults.overlaps(endedAtMs, endedAtMs + model.options.forgetDisconnectMs);
  if (end.by === 'client' && (end.rc ?? 0) === 0)
    return broken || forgotten ? EITHER : { kind: 'never', why: 'was published after DISCONNECT' };
  const delayMs = connection.version === 4 ? 0 : Math.min(delayS * 1000, connection.expiryMs);
  const due = afterDelay(connection, delayMs, broken, model);
  return afterFaults(connection, afterOthers(connection, delayMs, others, due, model), delayMs, model);
}

function afterDelay(
  { evidenceAtMs, endedAtMs, end, keepAliveMs }: Connection,
  delayMs: number,
  broken: boolean,
  model: HistoryModel,
): Due {
  const { willEarlyMs, willLateMs } = model.options;
  // A broker that was cut off notices by the silence only.
  const silentMs = end?.by === 'net' && broken ? (keepAliveMs === 0 ? Infinity : keepAliveMs * 1.5) : 0;
  return {
    kind: 'due',
    earliestMs: evidenceAtMs + delayMs - willEarlyMs,
    latestMs: endedAtMs + silentMs + delayMs + willLateMs,
  };
}

/** What later connections of the client id have changed. */
function afterOthers(
  connection: Connection,
  delayMs: number,
  others: readonly Connection[],
  due: Due,
  model: HistoryModel,
): Fate {
  if (delayMs === 0) return due;
  const later = others.filter(({ invokedAtMs }) => invokedAtMs > connection.acceptedAtMs);
  const unanswered = later.some((one) => !one.accepted && !one.refused && one.invokedAtMs <= due.latestMs);
  if (unanswered) return EITHER;
  const next = later.find(({ accepted }) => accepted);
  if (next === undefined || next.invokedAtMs > due.latestMs) return due;
  if (next.session === connection.session) {
    const inTime = next.acceptedAtMs < connection.evidenceAtMs + delayMs;
    return inTime ? { kind: 'never', why: 'was published though its session was resumed' } : EITHER;
  }
  // Another session, or so it was told.
  if (next.session?.inherits === true) return EITHER;
  const { willEarlyMs, willLateMs } = model.options;
  return {
    kind: 'due',
    earliestMs: Math.min(due.earliestMs, next.invokedAtMs - willEarlyMs),
    latestMs: Math.min(due.latestMs, next.acceptedAtMs + willLateMs),
  };
}

/** What is broken holds a will up, or takes it with it. */
function afterFaults({ evidenceAtMs }: Connection, fate: Fate, delayMs: number, model: HistoryModel): Fate {
  if (fate.kind !== 'due') return fate;
  const { willLateMs, willLosingFaults } = model.options;
  let { latestMs } = fate;
  for (const { what, healedAtMs } of model.faults.overlapping(evidenceAtMs, latestMs)) {
    if (willLosingFaults.includes(what) || healedAtMs === Infinity) return EITHER;
    latestMs = Math.max(latestMs, healedAtMs + delayMs + willLateMs);
  }
  return { ...fate, latestMs };
}
