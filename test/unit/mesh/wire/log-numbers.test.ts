/** Positions and epochs in frames: the greatest that a log can have is read, one more is malformed, wherever it stands. */
import t from 'tap';
import { EPOCH_COUNTER_MAX } from '../../../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { LOG_POSITION_MAX } from '../../../../lib/contracts/store.js';
import { createMessage } from '../../../../lib/message/message.js';
import {
  decodeAck,
  decodeStreamFrame,
  encodeAck,
  encodeBegin,
  FrameKind,
  wireEpochOf,
  writeCoverHeader,
  writeExpressHeader,
} from '../../../../mesh/forward/frames.js';
import { MessageEncoder } from '../../../../mesh/forward/message-codec.js';
import { TextCache } from '../../../../mesh/forward/text-cache.js';
import {
  readCloneReport,
  signedCloneReportOf,
  writeCloneReport,
} from '../../../../mesh/identity/clone-report.js';
import { decodeDepartures, encodeDepartures } from '../../../../mesh/identity/departure.js';
import { decodeInterest, encodeAnswer, encodeUpdate } from '../../../../mesh/interest/interest-frames.js';
import { decodeMessage, encodeMessage, encodeRecord } from '../../../../mesh/membership/index.js';
import { decodeHello, encodeHello, type Hello } from '../../../../mesh/node/hello.js';
import { encodeEntries, EntryReader } from '../../../../mesh/retained/entry-frames.js';
import { decodeControl, encodeState } from '../../../../mesh/retained/retained-frames.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';
import { record } from '../membership/rig.js';

const A = gatewayIdOf(new Uint8Array(32).fill(1));
const NONCE = '0123456789abcdef';
const SIGNATURE = new Uint8Array(64);
const EPOCH = wireEpochOf({ counter: 1, nonce: NONCE });
const MESSAGE = createMessage({
  ...{ topic: 't', topicBytes: Uint8Array.of(0, 1, 0x74), payload: Buffer.from('x') },
  ...{ qos: 1, retain: false },
});

type Carry = (value: number) => unknown;

function hello(changes: Partial<Hello>, greeting: Partial<Hello['greeting']> = {}): Hello {
  return decodeHello(
    encodeHello({
      ...{ version: 1, software: '1', site: 'a', head: 0, addresses: [], rosterVersion: '' },
      lineage: [{ counter: 1, nonce: NONCE, after: 0 }],
      greeting: {
        ...{ covered: undefined, durable: 0, floor: 0, have: [], backfill: undefined },
        ...{ creditBytes: 1, wholeMaxBytes: 1, ...greeting },
      },
      ...{ knownEpoch: undefined, interest: undefined, admin: undefined, ...changes },
    }),
  );
}

const stream = (frame: Uint8Array): unknown => decodeStreamFrame(frame, 0, new TextCache(4));

function begin(from: number, rolledBackTo: number, counter = 1): unknown {
  return stream(encodeBegin(new ByteWriter(), { ...EPOCH, counter }, from, rolledBackTo));
}

/** Covers (from, to], of which the last `lost` are lost; with a message at each of `positions`. */
function cover(from: number, to: number, lost: number, positions: readonly number[] = []): unknown {
  const writer = new ByteWriter();
  const header = { kind: FrameKind.main, epoch: EPOCH, version: 1, from, to, done: false };
  writeCoverHeader(writer, {
    ...header,
    lostFrom: lost === 0 ? 0 : to - lost + 1,
    lostTo: lost === 0 ? 0 : to,
  });
  messages(writer, from, positions);
  return stream(writer.finish());
}

function express(from: number, positions: readonly number[]): unknown {
  const writer = new ByteWriter();
  writeExpressHeader(writer, EPOCH, 1, from);
  messages(writer, from, positions);
  return stream(writer.finish());
}

function messages(writer: ByteWriter, from: number, positions: readonly number[]): void {
  const encoder = new MessageEncoder(writer);
  encoder.begin();
  let before = from;
  for (const position of positions) {
    encoder.write(MESSAGE, position - before, 0);
    before = position;
  }
}

function entry(sequence: number, counter = 1): unknown {
  const version = { counter: 1, origin: A, epoch: { counter, nonce: NONCE }, sequence };
  const [frame = new Uint8Array()] = encodeEntries([{ topic: 't', version, message: undefined }], () => 0);
  const reader = new ByteReader(frame);
  return new EntryReader().read(reader.u8(), reader);
}

function state(head: number): unknown {
  const reader = new ByteReader(
    encodeState('equal', 1, { floor: 0, head, rosterVersion: 1, known: [], dropped: [] }),
  );
  return decodeControl(reader.u8(), reader);
}

function update(since: number): unknown {
  const [frame = new Uint8Array()] = encodeUpdate({ life: 1, base: undefined, version: 1, since }, []);
  return decodeInterest(frame);
}

function cloneReport(counter: number): unknown {
  const life = (of: number, nonce: string) => ({ counter: of, nonce, signature: SIGNATURE });
  const writer = new ByteWriter();
  writeCloneReport(writer, signedCloneReportOf(A, life(1, NONCE), life(counter, NONCE)));
  return readCloneReport(new ByteReader(writer.finish()));
}

function digest(counter: number): unknown {
  const one = { id: A, counter, incarnation: 0, status: 'alive', metadataVersion: 0 } as const;
  return decodeMessage(encodeMessage({ kind: 'digest', entries: [one] }));
}

const POSITIONS: Readonly<Record<string, Carry>> = {
  'end of the log in a hello': (head) => hello({ head }),
  'beginning of a life': (after) => hello({ lineage: [{ counter: 1, nonce: NONCE, after }] }),
  'what a greeting covers': (covered) => hello({}, { covered }),
  'what is ahead in a greeting': (one) => hello({}, { covered: 0, have: [1, one] }),
  'cursor of a greeting': (cursor) => hello({}, { covered: 0, backfill: { id: 1, cursor } }),
  'beginning of a stream': (from) => begin(from, 0),
  'where a log was put back to': (to) => begin(0, to),
  'what a batch covers': (to) => cover(to - 5, to, 0),
  'beginning of a batch': (from) => cover(from, from, 0),
  'what is lost': (to) => cover(to - 5, to, 2),
  'message of a batch': (to) => cover(to - 5, to, 0, [to - 3, to]),
  'message ahead': (at) => express(at - 5, [at - 3, at]),
  acknowledgement: (covered) =>
    decodeAck(encodeAck(new ByteWriter(), { covered, floor: 0, creditBytes: 0, express: 0 })),
  'what an interest counts from': update,
  'end of the log in an answer': (head) =>
    decodeInterest(encodeAnswer({ version: 1, verdict: 'applied', head })),
  'entry of a comparison': (sequence) => entry(sequence),
  'end of the log in a comparison': state,
};

const EPOCHS: Readonly<Record<string, Carry>> = {
  'life in a hello': (counter) => hello({ lineage: [{ counter, nonce: NONCE, after: 0 }] }),
  'known life in a hello': (counter) => hello({ knownEpoch: { counter, nonce: NONCE } }),
  stream: (counter) => begin(0, 0, counter),
  'entry of a comparison': (counter) => entry(1, counter),
  departure: (counter) =>
    decodeDepartures(
      encodeDepartures([{ gateway: A, epoch: { counter, nonce: NONCE }, signature: SIGNATURE }]),
    ),
  'clone report': cloneReport,
  'record of a member': (counter) =>
    decodeMessage(
      encodeMessage({ kind: 'push' }, [encodeRecord(record(2, { epoch: { counter, nonce: NONCE } }))]),
    ),
  'digest of members': digest,
};

for (const [what, most, carries] of [
  ['position', LOG_POSITION_MAX, POSITIONS],
  ['epoch', EPOCH_COUNTER_MAX, EPOCHS],
] as const)
  t.test(`the greatest ${what} there is can be read, and more than that is malformed`, (t) => {
    for (const [name, carry] of Object.entries(carries)) {
      t.doesNotThrow(() => carry(most), name);
      for (const value of [most + 1, Number.MAX_SAFE_INTEGER])
        t.throws(() => carry(value), MalformedFrame, name);
    }
    t.end();
  });

t.test('positions of two messages that add up to more than can be are malformed', (t) => {
  const step = 2 ** 47;
  t.throws(() => express(step, [step + 1, step * 2]), MalformedFrame);
  t.throws(() => hello({}, { covered: 0, have: [step, step * 2] }), MalformedFrame);
  t.end();
});
