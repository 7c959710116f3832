/** The bytes of an answer beside what the client of AWS makes of them. */
import type { GetBucketLifecycleConfigurationCommand } from '@aws-sdk/client-s3';

/** What is read of an answer once it came; the client gets it whole. */
interface Answer {
  body?: unknown;
}

/** @returns the text of the answer, once the command was sent; empty: none came */
export function readTwice(command: GetBucketLifecycleConfigurationCommand): () => string {
  let text = '';
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as Answer;
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      text = bytes.toString('utf8');
      response.body = Uint8Array.from(bytes);
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'readTwice' },
  );
  return () => text;
}
