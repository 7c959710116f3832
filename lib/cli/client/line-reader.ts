import type { Readable } from 'node:stream';

const LINE_FEED = 0x0a;

/** The lines of a stream as bytes, without line feeds and empty lines; bytes that are no UTF-8 stay as they are. */
export async function* readLines(input: Readable): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk);
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, start)) {
      const line = Buffer.concat([...pending, bytes.subarray(start, end)]);
      pending = [];
      start = end + 1;
      if (line.length > 0) yield line;
    }
    if (start < bytes.length) pending.push(bytes.subarray(start));
  }
  const last = Buffer.concat(pending);
  if (last.length > 0) yield last;
}

/** Everything a stream has. */
export async function readAll(input: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
