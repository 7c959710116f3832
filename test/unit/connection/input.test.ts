import t from 'tap';
import { type FrameHandler, Input } from '../../../lib/connection/input.js';
import { ProtocolError } from '../../../lib/protocol/index.js';
import { bytes, frame, refusalOf } from '../../support/protocol-bytes.js';

/** Writes down what an Input hands on. */
class Recorder implements FrameHandler {
  frameMaxBytes = 1_000_000;
  readonly frames: string[] = [];
  readonly bodies: number[] = [];
  readonly begun: number[] = [];
  onFrame: (bytes: Uint8Array) => void = () => {};
  onBegins: (first: number) => void = () => {};
  begins(first: number): void {
    this.begun.push(first);
    this.onBegins(first);
  }
  tooLarge(_bytes: Uint8Array, _start: number, size: number): ProtocolError {
    return new ProtocolError(0x95, String(size));
  }
  frame(all: Uint8Array, start: number, body: number, end: number): void {
    this.frames.push(Buffer.from(all.subarray(start, end)).toString('hex'));
    this.bodies.push(body - start);
    this.onFrame(all.subarray(start, end));
  }
}

/** Lengths on both sides of each size of the Remaining Length field. */
const STREAM = [
  frame(0xc0),
  frame(0x30, Buffer.alloc(127, 1)),
  frame(0x32, Buffer.alloc(128, 2)),
  frame(0xe0),
];
const hex = (frames: readonly Uint8Array[]): string[] =>
  frames.map((one) => Buffer.from(one).toString('hex'));

t.test('a stream gives the same frames wherever one or two reads cut it', async (t) => {
  const all = Buffer.concat(STREAM);
  for (let first = 0; first <= all.length; first++) {
    for (const second of [first, first + 1, first + 2, first + 130, all.length]) {
      const recorder = new Recorder();
      const input = new Input(recorder);
      for (const part of [all.subarray(0, first), all.subarray(first, second), all.subarray(second)])
        input.feed(part);
      if (recorder.frames.join() !== hex(STREAM).join()) t.fail(`cut at ${first} and ${second}`);
      if (recorder.bodies.join() !== '2,2,3,2') t.fail(`bodies, cut at ${first} and ${second}`);
      if (input.waitingBytes !== 0) t.fail(`a rest, cut at ${first} and ${second}`);
    }
  }
  t.pass('all of them');
});

t.test('a stream that comes byte by byte gives the same frames', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  for (const byte of Buffer.concat(STREAM)) input.feed(Buffer.of(byte));
  t.same(recorder.frames, hex(STREAM));
});

t.test('every size of the Remaining Length is read, whole and in parts', async (t) => {
  for (const size of [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const recorder = new Recorder();
    recorder.frameMaxBytes = 3_000_000;
    const input = new Input(recorder);
    const one = frame(0x30, Buffer.alloc(size, 7));
    input.feed(bytes(one, one));
    for (let at = 0; at < 5; at++) input.feed(one.subarray(at, at + 1));
    input.feed(one.subarray(5));
    if (one.length < 5) t.equal(recorder.frames.length, 3);
    else t.ok(recorder.frames.length === 3 && new Set(recorder.frames).size === 1, `${size}`);
    t.same(new Set(recorder.bodies), new Set([one.length - size]));
  }
});

t.test('the first byte of an unfinished frame is shown before the rest arrives', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  input.feed(Buffer.of(0x10));
  input.feed(Buffer.of(0x85));
  input.feed(Buffer.of(0x01, 0x00));
  t.same([...new Set(recorder.begun)], [0x10]);
  t.equal(input.waitingBytes, 4);

  const refusing = new Recorder();
  refusing.onBegins = () => {
    throw new ProtocolError(0x82, 'no');
  };
  t.equal(
    refusalOf(() => new Input(refusing).feed(Buffer.of(0x10))),
    0x82,
  );
});

t.test('a frame that will be too large is refused by its header', async (t) => {
  const recorder = new Recorder();
  recorder.frameMaxBytes = 130;
  const input = new Input(recorder);
  const fits = frame(0x30, Buffer.alloc(127));
  t.equal(fits.length, 129);
  input.feed(fits);
  t.equal(
    refusalOf(() => input.feed(Buffer.of(0x30, 0x80, 0x01))),
    0x95,
    '131 bytes, none of its body here',
  );
  t.equal(recorder.frames.length, 1);
});

t.test('the largest frame that is allowed is taken whole', async (t) => {
  const recorder = new Recorder();
  const one = frame(0x30, Buffer.alloc(200));
  recorder.frameMaxBytes = one.length;
  new Input(recorder).feed(one);
  t.equal(recorder.frames.length, 1);
});

t.test('a Remaining Length that is not minimal or too long is malformed [MQTT-1.5.5-1]', async (t) => {
  for (const header of [
    [0x30, 0x80, 0x00],
    [0x30, 0xff, 0x80, 0x00],
    [0x30, 0xff, 0xff, 0x80, 0x00],
    [0x30, 0xff, 0xff, 0xff, 0xff],
    [0x30, 0x80, 0x80, 0x80, 0x80, 0x01],
  ]) {
    const whole = new Input(new Recorder());
    t.equal(
      refusalOf(() => whole.feed(Buffer.from(header))),
      0x81,
      header.join(' '),
    );
    const inParts = new Input(new Recorder());
    t.equal(
      refusalOf(() => {
        for (const byte of header) inParts.feed(Buffer.of(byte));
      }),
      0x81,
      `${header.join(' ')} byte by byte`,
    );
  }
});

t.test('what comes before a malformed frame is handed on', async (t) => {
  const recorder = new Recorder();
  t.equal(
    refusalOf(() => new Input(recorder).feed(bytes(...STREAM, 0x30, 0x80, 0x00))),
    0x81,
  );
  t.same(recorder.frames, hex(STREAM));
});

t.test(
  'a suspension lets the current frame finish and holds the next until as many resumptions',
  async (t) => {
    const recorder = new Recorder();
    const input = new Input(recorder);
    recorder.onFrame = () => {
      if (recorder.frames.length !== 2) return;
      input.suspend();
      input.suspend();
    };
    input.feed(Buffer.concat(STREAM));
    t.equal(recorder.frames.length, 2);
    t.ok(input.suspended);
    t.equal(input.waitingBytes, (STREAM[2]?.length ?? 0) + 2);
    input.feed(Buffer.concat(STREAM));
    input.resume();
    t.equal(recorder.frames.length, 2, 'one of two');
    input.resume();
    t.notOk(input.suspended);
    t.same(recorder.frames, hex([...STREAM, ...STREAM]));
    t.equal(input.waitingBytes, 0);
    input.resume();
    t.notOk(input.suspended, 'one resumption too many does no harm');
  },
);

t.test('each frame may suspend, and a resumption from inside a frame goes on after it', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  recorder.onFrame = () => {
    input.suspend();
    input.resume();
  };
  input.feed(Buffer.concat(STREAM));
  t.same(recorder.frames, hex(STREAM));

  const stepping = new Recorder();
  const stepped = new Input(stepping);
  stepping.onFrame = () => stepped.suspend();
  stepped.feed(Buffer.concat(STREAM));
  for (let count = 1; count <= STREAM.length; count++) {
    t.equal(stepping.frames.length, count);
    stepped.resume();
  }
  t.same(stepping.frames, hex(STREAM));
});

t.test('what arrives while suspended waits, also when nothing waited before', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  input.suspend();
  for (const one of STREAM) input.feed(one);
  t.equal(recorder.frames.length, 0);
  t.equal(input.waitingBytes, Buffer.concat(STREAM).length);
  input.resume();
  t.same(recorder.frames, hex(STREAM));
});

t.test('a refusal while resuming comes out of resume', async (t) => {
  const input = new Input(new Recorder());
  input.suspend();
  input.feed(Buffer.of(0x30, 0x80, 0x00));
  t.equal(
    refusalOf(() => input.resume()),
    0x81,
  );
});

t.test('bytes that a frame makes arrive come after those that arrived before', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  recorder.onFrame = () => {
    // A transport in the same process may answer at once what a frame makes the gateway write.
    if (recorder.frames.length > 1) return;
    for (const one of STREAM) input.feed(one);
  };
  input.feed(Buffer.concat(STREAM));
  t.same(recorder.frames, hex([...STREAM, ...STREAM]));
  t.equal(input.waitingBytes, 0);

  const last = new Recorder();
  const fromLast = new Input(last);
  last.onFrame = () => {
    if (last.frames.length === STREAM.length) fromLast.feed(Buffer.concat(STREAM).subarray(0, 5));
  };
  fromLast.feed(Buffer.concat(STREAM));
  fromLast.feed(Buffer.concat(STREAM).subarray(5));
  t.same(last.frames, hex([...STREAM, ...STREAM]), 'from inside the last frame of a read');

  const cut = new Recorder();
  const withRest = new Input(cut);
  const all = Buffer.concat(STREAM);
  cut.onFrame = () => {
    if (cut.frames.length === 1) withRest.feed(all.subarray(5));
  };
  withRest.feed(bytes(all, all.subarray(0, 5)));
  t.same(cut.frames, hex([...STREAM, ...STREAM]), 'before the rest of a frame that the read cut off');
});

t.test('after stop nothing is handed on and nothing is kept', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  recorder.onFrame = () => input.stop();
  input.feed(Buffer.concat(STREAM));
  input.feed(Buffer.concat(STREAM));
  input.resume();
  t.equal(recorder.frames.length, 1);
  t.equal(input.waitingBytes, 0);

  const waiting = new Input(new Recorder());
  waiting.feed(Buffer.of(0x30, 10, 1));
  waiting.stop();
  t.equal(waiting.waitingBytes, 0);
});

t.test('a small rest does not hold on to the read buffer that it came in', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  const next = frame(0x30, Buffer.alloc(50, 5));
  const read = bytes(...STREAM, next.subarray(0, 20));
  input.feed(read);
  read.fill(0);
  input.feed(next.subarray(20));
  t.same(
    recorder.frames,
    hex([...STREAM, next]),
    'the rest was copied: what became of the buffer does not matter',
  );

  const suspended = new Input(recorder);
  suspended.suspend();
  const whole = Buffer.from(next);
  suspended.feed(whole);
  whole.fill(0);
  suspended.resume();
  t.equal(recorder.frames.at(-1), next.toString('hex'), 'nor while suspended');
});

t.test('a large rest is kept where it is and not copied', async (t) => {
  const recorder = new Recorder();
  const input = new Input(recorder);
  const big = frame(0x30, Buffer.alloc(40_000, 5));
  const read = bytes(frame(0xc0), big.subarray(0, 20_000));
  input.feed(read);
  read.fill(6, read.length - 1);
  input.feed(big.subarray(20_000));
  t.equal(recorder.frames.length, 2);
  t.not(recorder.frames[1], big.toString('hex'), 'the change of the buffer is seen');
});
