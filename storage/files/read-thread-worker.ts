/** What the thread of read-thread.ts runs. */
import { readSync } from 'node:fs';
import { type MessagePort, parentPort } from 'node:worker_threads';

export interface PartsRequest {
  readonly id: number;
  readonly fd: number;
  /** Offset and length of each part in turn. */
  readonly parts: Float64Array;
  /** Takes the parts one after the other, each in as many bytes as are asked for. */
  readonly into: SharedArrayBuffer;
}

/** It has been idle for long enough. */
export type End = 'end';

export interface PartsReply {
  readonly id: number;
  /** How many bytes of each part the file has. */
  readonly lengths: Uint32Array;
}

/** An error of Node.js loses its code on the way between threads. */
export interface FailedReply {
  readonly id: number;
  readonly code: string;
  readonly message: string;
}

function readParts({ id, fd, parts, into }: PartsRequest): PartsReply {
  const bytes = new Uint8Array(into);
  const lengths = new Uint32Array(parts.length / 2);
  for (let i = 0, at = 0; i < parts.length; i += 2) {
    const length = parts[i + 1] as number;
    lengths[i / 2] = readPart(fd, bytes, at, parts[i] as number, length);
    at += length;
  }
  return { id, lengths };
}

function readPart(fd: number, into: Uint8Array, at: number, offset: number, length: number): number {
  let done = 0;
  while (done < length) {
    const count = readSync(fd, into, at + done, length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function failedReply(id: number, error: unknown): FailedReply {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return { id, code, message: String(error) };
}

const port = parentPort as MessagePort;
port.on('message', (request: PartsRequest | End) => {
  if (request === 'end') {
    port.close();
    return;
  }
  try {
    port.postMessage(readParts(request));
  } catch (error) {
    port.postMessage(failedReply(request.id, error));
  }
});
