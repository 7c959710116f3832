/**
 * Numbers of other gateways that end up in the log here, or in its own numbers: what no log could have is malformed where it is read. Believed, it would be
 * another number after a restart.
 */
import { EPOCH_COUNTER_MAX } from '../../lib/contracts/epoch.js';
import { LOG_POSITION_MAX, type LogPosition } from '../../lib/contracts/store.js';
import { type ByteReader, MalformedFrame } from './bytes.js';

/** @throws MalformedFrame */
export function readPosition(reader: ByteReader): LogPosition {
  return positionOf(reader.varint());
}

/** What positions and steps between them add up to. @throws MalformedFrame */
export function positionOf(sum: number): LogPosition {
  if (sum > LOG_POSITION_MAX)
    throw new MalformedFrame(`a position of ${sum} where ${LOG_POSITION_MAX} is the most`);
  return sum;
}

/** @throws MalformedFrame */
export function readEpochCounter(reader: ByteReader): number {
  const counter = reader.varint();
  if (counter > EPOCH_COUNTER_MAX)
    throw new MalformedFrame(`an epoch with the counter ${counter} where ${EPOCH_COUNTER_MAX} is the most`);
  return counter;
}
