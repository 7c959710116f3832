/**
 * How tests start a gateway of its own: nothing of the tests' tools is in it, with which it starts and runs half as fast, and no
 * configuration of whoever runs them. What it runs counts as covered where a test in this process runs it.
 */
const FOREIGN = /^(SPRAWL_|TAP|NODE_OPTIONS$|NODE_V8_COVERAGE$|NODE_EXTRA_CA_CERTS$|_TAPJS)/;

export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.test(name)));
}

/** For `spawn`. The process has the id of the child: tap puts its options back into every environment, and `env` takes them out before it becomes the program. */
export function cleanCommand(file: string, args: readonly string[]): [file: string, args: string[]] {
  return ['env', ['-u', 'NODE_OPTIONS', '-u', 'NODE_V8_COVERAGE', file, ...args]];
}
