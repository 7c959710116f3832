/** Types of log records. The numbers are in files: they never change their meaning. */
export const RecordType = {
  /** A message that was published with QoS 1 or 2. */
  message: 1,
  /** A retained message of QoS 0, or its removal: it only changes what is retained. */
  retained: 2,
  /** A message of QoS 0 to a topic that is archived: nobody waits for it but the archive. */
  passed: 3,
  created: 10,
  connected: 11,
  disconnected: 12,
  ended: 13,
  subscribed: 14,
  unsubscribed: 15,
  released: 16,
  sent: 17,
  pubrec: 18,
  delivered: 19,
  givenUp: 20,
  willPublished: 21,
  assigned: 22,
  dropped: 23,
  /** Another gateway in one of its lives, whose messages follow: they name it by the position of this record. */
  source: 25,
  /** How much of another gateway's log is in this one. */
  covered: 26,
  streamReset: 27,
  backfill: 28,
  /** Bytes of the mesh's own, by a name. */
  note: 29,
  /** The gateway's own clock beside the wall's. */
  time: 30,
  /** What is kept here for another gateway, by a name: nobody but who keeps it reads it. */
  kept: 31,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

const NAMES = new Map<number, string>(Object.entries(RecordType).map(([name, type]) => [type, name]));

/** For people. */
export function recordTypeName(type: number): string {
  return NAMES.get(type) ?? `type ${type}`;
}
