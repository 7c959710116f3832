/**
 * What clients did and saw, and what was done to the broker: one event a line. Simulation and real processes write the same
 * events, so that one checker judges both. `!` is a request, `.` its answer.
 */

/** A client under test, the harness, or a nemesis. One actor has at most one connection at a time. */
export type ActorId = string;
export type NodeId = string;
export type EventQoS = 0 | 1 | 2;

/** Names a message: publisher `pub` of this run, its `seq`-th message, from 0 and without gaps. It stands in the payload. */
export interface Mid {
  readonly pub: number;
  readonly seq: number;
}

export interface EventStamp {
  /** Nanoseconds of the machine's monotonic clock (`process.hrtime.bigint`), the same in all its processes. */
  readonly t: bigint;
  readonly run: string;
  readonly p: ActorId;
  /** Position in the history of its writer, from 0 and without gaps: a hole shows. */
  readonly i: number;
}

/** A will has a `seq` of its own for every connection that carries it. */
export interface WillEvent {
  readonly m: Mid;
  readonly topic: string;
  readonly q: EventQoS;
  readonly retain: boolean;
  /** Will Delay Interval in seconds; 0 before MQTT 5. */
  readonly delay: number;
}

/** CONNECT is about to be sent. */
export interface ConnectEvent {
  readonly e: 'conn!';
  readonly cid: string;
  readonly node: NodeId;
  readonly clean: boolean;
  /** Session Expiry Interval in seconds, EXPIRES_NEVER for ever; before MQTT 5 that or 0, by Clean Session. */
  readonly expiry: number;
  readonly v: 4 | 5;
  /** Seconds; 0 is none. Default 0. */
  readonly keepAlive?: number;
  readonly will?: WillEvent;
}
/** CONNACK has come. */
export interface ConnackEvent {
  readonly e: 'conn.';
  readonly present: boolean;
  readonly rc: number;
  /** Session Expiry Interval where the broker gave another one. */
  readonly expiry?: number;
}
/**
 * The connection is over for its client: `client` sent DISCONNECT with `rc`; `broker` sent DISCONNECT with `rc`, or closed without a
 * word; `net` is everything else, also a client that cut its own connection.
 */
export interface DisconnectEvent {
  readonly e: 'disc';
  readonly by: 'client' | 'broker' | 'net';
  readonly rc?: number;
  /** Session Expiry Interval of the client's DISCONNECT. */
  readonly expiry?: number;
}
export interface SubscribeEvent {
  readonly e: 'sub!';
  /** As it is sent, `$share/<group>/` included. One event for each filter. */
  readonly f: string;
  readonly q: EventQoS;
  readonly pid: number;
  /** No Local. */
  readonly nl?: boolean;
  /** Retain As Published. */
  readonly rap?: boolean;
  /** Retain Handling. */
  readonly rh?: 0 | 1 | 2;
}
export interface UnsubscribeEvent {
  readonly e: 'unsub!';
  readonly f: string;
  readonly pid: number;
}
/** SUBACK or UNSUBACK has come: the code for one filter. */
export interface SubscriptionAckEvent {
  readonly e: 'sub.' | 'unsub.';
  readonly f: string;
  readonly pid: number;
  readonly rc: number;
}
/** PUBLISH is about to be sent: for the first time, or again. */
export interface PublishEvent {
  readonly e: 'pub!';
  readonly m: Mid;
  readonly topic: string;
  readonly q: EventQoS;
  readonly retain: boolean;
  readonly pid?: number;
  readonly dup: boolean;
  /** No payload, so that receivers cannot tell which message it is: it clears what is retained. */
  readonly empty?: boolean;
  /** Message Expiry Interval in seconds. */
  readonly expiry?: number;
}
export interface PublishAckEvent {
  readonly e: 'pub.';
  readonly m: Mid;
  readonly how: 'PUBACK' | 'PUBREC' | 'PUBCOMP';
  readonly rc: number;
}
/** PUBLISH has come. At QoS 1 and 2 its PUBACK or PUBREC leaves right after. */
export interface ReceiveEvent {
  readonly e: 'recv';
  /** Null where the payload names no message of this run; `fault` says why. */
  readonly m: Mid | null;
  readonly topic: string;
  readonly q: EventQoS;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly pid?: number;
  /** The payload is what a client of this run published on this topic. */
  readonly bytesOk: boolean;
  readonly empty?: boolean;
  readonly fault?: 'corrupt' | 'foreign' | 'run' | 'topic';
}
/** PUBREL has come: the packet id is free for another QoS 2 message. */
export interface ReleaseEvent {
  readonly e: 'rel';
  readonly pid: number;
}
export interface FaultEvent {
  readonly e: 'fault' | 'heal';
  readonly what: string;
  readonly nodes: readonly NodeId[];
}
/** A node has reported that since its last report it dropped `n` messages by a policy of its own. */
export interface DropEvent {
  readonly e: 'drop';
  readonly node: NodeId;
  readonly reason: string;
  readonly n: number;
  /** For whom; anybody where it is missing. */
  readonly cid?: string;
  /** Of which topics; any where it is missing. */
  readonly f?: string;
}
/** `drain!`: work has stopped, everything is healed. `drain.`: what is not there now is lost. */
export interface DrainEvent {
  readonly e: 'drain!' | 'drain.';
}

export type EventBody =
  | ConnectEvent
  | ConnackEvent
  | DisconnectEvent
  | SubscribeEvent
  | UnsubscribeEvent
  | SubscriptionAckEvent
  | PublishEvent
  | PublishAckEvent
  | ReceiveEvent
  | ReleaseEvent
  | FaultEvent
  | DropEvent
  | DrainEvent;
export type EventKind = EventBody['e'];
export type HistoryEvent = EventStamp & EventBody;

/** Session Expiry Interval of a session that does not expire [MQTT 5, 3.1.2.11.2]. */
export const EXPIRES_NEVER = 0xffffffff;

type FieldType = 'string' | 'number' | 'boolean' | 'object';

/** What every event of a kind must have; what it may have is taken as it is. */
const FIELDS: Readonly<Record<EventKind, readonly (readonly [name: string, type: FieldType])[]>> = {
  'conn!': [
    ['cid', 'string'],
    ['node', 'string'],
    ['clean', 'boolean'],
    ['expiry', 'number'],
    ['v', 'number'],
  ],
  'conn.': [
    ['present', 'boolean'],
    ['rc', 'number'],
  ],
  disc: [['by', 'string']],
  'sub!': [
    ['f', 'string'],
    ['q', 'number'],
    ['pid', 'number'],
  ],
  'unsub!': [
    ['f', 'string'],
    ['pid', 'number'],
  ],
  'sub.': [
    ['f', 'string'],
    ['pid', 'number'],
    ['rc', 'number'],
  ],
  'unsub.': [
    ['f', 'string'],
    ['pid', 'number'],
    ['rc', 'number'],
  ],
  'pub!': [
    ['m', 'object'],
    ['topic', 'string'],
    ['q', 'number'],
    ['retain', 'boolean'],
    ['dup', 'boolean'],
  ],
  'pub.': [
    ['m', 'object'],
    ['how', 'string'],
    ['rc', 'number'],
  ],
  recv: [
    ['m', 'object'],
    ['topic', 'string'],
    ['q', 'number'],
    ['retain', 'boolean'],
    ['dup', 'boolean'],
    ['bytesOk', 'boolean'],
  ],
  rel: [['pid', 'number']],
  fault: [
    ['what', 'string'],
    ['nodes', 'object'],
  ],
  heal: [
    ['what', 'string'],
    ['nodes', 'object'],
  ],
  drop: [
    ['node', 'string'],
    ['reason', 'string'],
    ['n', 'number'],
  ],
  'drain!': [],
  'drain.': [],
};

/** For kinds that nobody has checked yet. */
const FIELDS_BY_KIND: ReadonlyMap<unknown, (typeof FIELDS)[EventKind]> = new Map(Object.entries(FIELDS));

/** One line, without its end. */
export function formatEvent({ t, run, p, i, ...body }: HistoryEvent): string {
  return formatBody({ t, run, p, i }, body);
}

/** As `formatEvent`, for stamp and body apart. */
export function formatBody(stamp: EventStamp, body: EventBody): string {
  const head = `{"t":"${stamp.t}","run":${JSON.stringify(stamp.run)},"p":${JSON.stringify(stamp.p)},"i":${stamp.i},`;
  return head + JSON.stringify(body).slice(1);
}

/** @throws TypeError for a line that is no event. */
export function parseEvent(line: string): HistoryEvent {
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null) throw new TypeError(`no event: ${line}`);
  const record = value as Record<string, unknown>;
  const fields = FIELDS_BY_KIND.get(record['e']);
  if (fields === undefined) throw new TypeError(`no kind of event: ${line}`);
  for (const [name, type] of fields) {
    if (typeof record[name] !== type) throw new TypeError(`${name} is no ${type}: ${line}`);
  }
  const { t, run, p, i } = record;
  if (typeof t !== 'string' || typeof run !== 'string' || typeof p !== 'string' || typeof i !== 'number')
    throw new TypeError(`no stamp: ${line}`);
  record['t'] = BigInt(t);
  return record as unknown as HistoryEvent;
}
