/**
 * What went wrong in a run; undefined where nothing did. Never rejects. The lanes await credentials and the store: what is thrown behind that is a
 * rejection that nobody handles, and counts.
 */
export async function failureOf(run: () => Promise<void>): Promise<Error | undefined> {
  let rejection: Error | undefined;
  const onRejection = (reason: unknown): void => {
    rejection ??= toError(reason);
  };
  process.on('unhandledRejection', onRejection);
  let failure: Error | undefined;
  try {
    await run();
  } catch (error) {
    failure = toError(error);
  }
  await new Promise<void>((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onRejection);
  return failure ?? rejection;
}

const toError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));
