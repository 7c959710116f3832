/** Logs for tests, with the messages that rows are made of. */
import { BLOCK_BYTES, logBlocks } from '../../bridge/archive/proof/log-blocks.js';
import type { GatewayLog, LogFacts } from '../../bridge/archive/proof/log-mark.js';
import type { ArchiveRow } from '../../bridge/archive/row.js';
import type { OwnMessages } from '../../lib/contracts/streams.js';
import { createMessage } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/index.js';
import { FIRST_LIFE, ORIGIN } from './archive-world.js';
import { str } from './protocol-bytes.js';

export interface OwnLogOptions extends Partial<LogFacts> {
  /** Positions that it cannot read. */
  readonly damaged?: readonly [number, number];
}

/** A log that has these, each at its position, and something else at all others. */
export function logOf(rows: readonly ArchiveRow[], options: OwnLogOptions = {}): GatewayLog {
  const { damaged, ...given } = options;
  const last = rows.at(-1)?.sequence ?? 0;
  const facts = {
    ...{ origin: ORIGIN, lineage: [{ ...FIRST_LIFE, after: 0 }], first: 1, committed: last },
    ...given,
  };
  const isThere = (position: number): boolean =>
    damaged === undefined || position < damaged[0] || position > damaged[1];
  const readOwn = async (from: number): Promise<OwnMessages> => {
    const at = Math.max(from, facts.first);
    const next = Math.min(at + BLOCK_BYTES / 1024, facts.committed + 1);
    const taken = rows.filter(({ sequence }) => sequence >= at && sequence < next && isThere(sequence));
    const lost = [...(at > from ? [from, at - 1] : []), ...(damaged ?? [])].filter(
      (position) => position >= from && position < next,
    );
    return {
      messages: taken.map(({ sequence, topic, payload, qos, retain }) => {
        const message = createMessage({
          ...{ topic, topicBytes: str(topic), payload, qos: qos as QoS, retain },
        });
        message.position = sequence;
        return message;
      }),
      wallMs: taken.map(({ timeMs }) => timeMs),
      next: Math.max(next, from),
      lostFrom: lost[0] ?? 0,
      lostTo: lost.at(-1) ?? 0,
    };
  };
  const ports = { readOwn, pause: () => Promise.resolve() };
  return { ...facts, read: (after, upTo) => logBlocks(ports, after, upTo) };
}
