/** The envelope of archived objects: whatever is in it, every range of it is what was put in, and whatever is done to its bytes is found. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { sealedBody } from '../../bridge/archive/encryption/sealed-body.js';
import {
  CHUNK_BYTES,
  HEADER_BYTES,
  ObjectCipher,
  objectIdOf,
  parseHeader,
  plainLengthOf,
  SEALED_CHUNK_BYTES,
  sealedLengthOf,
} from '../../bridge/archive/encryption/sealed-format.js';
import { bodyOf } from '../../bridge/archive/object-store.js';
import { type CheckedObject, ObjectDamage } from '../../bridge/archive/reading/checked-object.js';
import { openSealed } from '../../bridge/archive/reading/opened-object.js';
import { type MasterKey, parseKeyFile } from '../../lib/contracts/master-key.js';

const keyOf = (fill: number): MasterKey =>
  parseKeyFile(Buffer.alloc(32, fill).toString('hex'), 'keys', 'archive')[0] as MasterKey;
const MASTER = keyOf(1);

function cipherOf(plain: Uint8Array, master = MASTER): ObjectCipher {
  return new ObjectCipher(master, objectIdOf(master, createHash('sha256').update(plain).digest()));
}

/** What is small enough to be printed. */
interface Content {
  readonly length: number;
  readonly seed: number;
}

const nearChunks = (min: number): fc.Arbitrary<number> =>
  fc
    .tuple(fc.integer({ min, max: 4 }), fc.integer({ min: -2, max: 2 }))
    .map(([chunks, more]) => chunks * CHUNK_BYTES + more);

/** Bytes of a length around the edges of chunks, the same of the same seed. */
const content = fc
  .tuple(
    fc.oneof(
      fc.integer({ min: 0, max: 300 }),
      nearChunks(1),
      // Several, so that there is something to exchange.
      nearChunks(3),
      fc.integer({ min: 0, max: 4 * CHUNK_BYTES }),
    ),
    fc.integer({ min: 0, max: 255 }),
  )
  .map(([length, seed]): Content => ({ length, seed }));

function bytesOf({ length, seed }: Content): Buffer {
  // No chunk is like another.
  return Buffer.from(Uint8Array.from({ length }, (_, i) => i * 31 + seed + (i >> 8) + (i >> 16)));
}

async function seal(plain: Uint8Array, master = MASTER): Promise<Buffer> {
  const body = sealedBody(cipherOf(plain, master), bodyOf(plain));
  return Buffer.from(await body.read(0, body.length));
}

const stored = (bytes: Uint8Array, isWhole: boolean): CheckedObject => ({
  ...{ key: 'data/x', length: bytes.length, isWhole },
  read: async (offset, length) => bytes.slice(offset, offset + length),
});

/** As a reader opens it: with the id of the object that its header names. */
async function open(bytes: Uint8Array, isWhole: boolean): Promise<CheckedObject> {
  const header = parseHeader(bytes);
  if (typeof header === 'string' || header.keyId !== MASTER.id)
    throw new ObjectDamage('data/x', String(header));
  return openSealed(stored(bytes, isWhole), new ObjectCipher(MASTER, header.objectId));
}

async function readAll(bytes: Uint8Array, isWhole: boolean): Promise<Uint8Array> {
  const object = await open(bytes, isWhole);
  return object.read(0, object.length);
}

t.test('every range of the sealed and of the opened bytes is a part of the whole', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      content,
      fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 4 }),
      async (some, wanted) => {
        const plain = bytesOf(some);
        const whole = await seal(plain);
        const body = sealedBody(cipherOf(plain), bodyOf(plain));
        if (whole.length !== sealedLengthOf(plain.length) || plainLengthOf(whole.length) !== plain.length)
          throw new Error('the length does not follow');
        const opened = [await open(whole, true), await open(whole, false)];
        for (const [a, b] of [[0, plain.length], ...wanted] as const) {
          const offset = a % (whole.length + 1);
          const length = b % (whole.length - offset + 1);
          const part = await body.read(offset, length);
          if (!whole.subarray(offset, offset + length).equals(part))
            throw new Error(`sealed ${offset} ${length}`);
          const from = a % (plain.length + 1);
          const bytes = a === 0 ? plain.length : b % (plain.length - from + 1);
          for (const object of opened) {
            if (object.length !== plain.length) throw new Error('another length');
            if (!plain.subarray(from, from + bytes).equals(await object.read(from, bytes)))
              throw new Error(`opened ${from} ${bytes}`);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
  t.pass();
});

t.test('the same bytes are sealed alike, others with another key of their own', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 100 }), fc.nat(), async (plain, at) => {
      const [one, again] = [await seal(plain), await seal(plain)];
      if (!one.equals(again)) throw new Error('not the same');
      const changed = Uint8Array.from(plain);
      const index = at % plain.length;
      changed[index] = (changed[index] ?? 0) ^ 1;
      for (const other of [await seal(changed), await seal(plain, keyOf(2))]) {
        // With one key two streams of bytes would be alike wherever the plain ones are.
        const [a, b] = [one.subarray(HEADER_BYTES), other.subarray(HEADER_BYTES)];
        if (a.filter((byte, i) => byte === b[i]).length > plain.length / 2)
          throw new Error('one key for both');
      }
    }),
    { numRuns: 60 },
  );
  t.pass();
});

/** Something that somebody does to stored bytes; the same bytes: it was nothing. */
type Harm = (bytes: Buffer, a: number, b: number) => Buffer;
const chunkAt = (number: number): number => HEADER_BYTES + number * SEALED_CHUNK_BYTES;
const HARMS: Readonly<Record<string, Harm>> = {
  'a bit changed': (bytes, a, b) => {
    const changed = Buffer.from(bytes);
    const at = a % bytes.length;
    changed[at] = (changed[at] ?? 0) ^ (1 << (b % 8));
    return changed;
  },
  'cut off': (bytes, a) => bytes.subarray(0, a % bytes.length),
  'whole chunks cut off': (bytes, a) =>
    bytes.subarray(
      0,
      chunkAt(1 + (a % Math.max(1, Math.floor((bytes.length - HEADER_BYTES) / SEALED_CHUNK_BYTES)))),
    ),
  'made longer': (bytes, a) => Buffer.concat([bytes, Buffer.alloc(1 + (a % 70_000), 7)]),
  'a chunk once more at the end': (bytes, a) => {
    const number = a % Math.max(1, Math.ceil((bytes.length - HEADER_BYTES) / SEALED_CHUNK_BYTES));
    return Buffer.concat([bytes, bytes.subarray(chunkAt(number), chunkAt(number + 1))]);
  },
  'two chunks exchanged': (bytes, a, b) => {
    const whole = Math.floor((bytes.length - HEADER_BYTES) / SEALED_CHUNK_BYTES);
    if (whole < 2) return bytes;
    const [i, j] = [a % whole, b % whole];
    const changed = Buffer.from(bytes);
    bytes.copy(changed, chunkAt(i), chunkAt(j), chunkAt(j + 1));
    bytes.copy(changed, chunkAt(j), chunkAt(i), chunkAt(i + 1));
    return changed;
  },
  'a chunk taken out': (bytes, a) => {
    const whole = Math.floor((bytes.length - HEADER_BYTES) / SEALED_CHUNK_BYTES);
    if (whole < 1) return bytes;
    const number = a % whole;
    return Buffer.concat([bytes.subarray(0, chunkAt(number)), bytes.subarray(chunkAt(number + 1))]);
  },
};

for (const [name, harm] of Object.entries(HARMS))
  t.test(`${name}: it is found`, async (t) => {
    let harmed = 0;
    await fc.assert(
      fc.asyncProperty(content, fc.nat(), fc.nat(), async (some, a, b) => {
        const bytes = await seal(bytesOf(some));
        const other = harm(bytes, a, b);
        if (other.equals(bytes)) return;
        harmed++;
        for (const isWhole of [true, false]) {
          const fault = await readAll(other, isWhole).catch((error: unknown) => error);
          if (!(fault instanceof ObjectDamage)) throw new Error('it was not found', { cause: fault });
        }
      }),
      { numRuns: 25 },
    );
    t.ok(harmed > 0, `${harmed} objects were harmed`);
  });

t.test('what is missing at the end is found before anything is read', async (t) => {
  const bytes = await seal(Buffer.alloc(3 * CHUNK_BYTES + 5, 1));
  for (const length of [chunkAt(3), chunkAt(2), chunkAt(2) + 100])
    await t.rejects(open(bytes.subarray(0, length), false), {
      name: 'ObjectDamage',
      message: /chunk \d of \d is not/,
    });
  await t.rejects(open(bytes.subarray(0, HEADER_BYTES + 3), false), {
    message: /nothing encrypted has 51 bytes/,
  });
});

t.test('a chunk of another object does not open in its place', async (t) => {
  const [one, other] = [
    await seal(Buffer.alloc(2 * CHUNK_BYTES, 1)),
    await seal(Buffer.alloc(2 * CHUNK_BYTES, 2)),
  ];
  other.copy(one, chunkAt(0), chunkAt(0), chunkAt(1));
  await t.rejects(readAll(one, true), { message: /chunk 1 of 2 is not what was encrypted/ });
});

t.test('a header says what it is', async (t) => {
  const bytes = await seal(Buffer.from('x'));
  t.match(parseHeader(bytes), { keyId: MASTER.id });
  t.match(parseHeader(Buffer.from('PAR1')), /is not encrypted, and its manifest says/);
  const newer = Buffer.from(bytes);
  newer[7] = 2;
  t.match(parseHeader(newer), /in version 2, and this version of sprawl-edge knows 1: update it/);
});
