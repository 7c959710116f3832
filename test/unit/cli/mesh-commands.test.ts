import t from 'tap';
import { parseArguments } from '../../../lib/cli/arguments.js';
import { runBootstrapCommand } from '../../../lib/cli/bootstrap.js';
import { configSources } from '../../../lib/cli/config-sources.js';
import { MESH_COMMANDS } from '../../../lib/cli/mesh-commands.js';
import { readSecret } from '../../../lib/cli/password-prompt.js';
import { toolLogger } from '../../../lib/cli/tool-logger.js';
import type { Invocation } from '../../../lib/cli/command.js';
import { parseConfig } from '../../../lib/config/index.js';
import type { BootstrapNode, BootstrapOptions } from '../../../lib/mesh-tools.js';
import { runHere } from '../../integration/cli-in-process.js';
import { FakeTerminalWorld, FakeWorld } from './fake-world.js';

function invocationOf(name: string, args: readonly string[]): Invocation {
  const command = MESH_COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) throw new Error(name);
  return parseArguments(command, args);
}

t.test('bootstrap runs a node until it is told to stop', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const world = new FakeWorld();
    const asked: BootstrapOptions[] = [];
    let closed = 0;
    const run = async (options: BootstrapOptions): Promise<BootstrapNode> => {
      asked.push(options);
      return { host: options.host, port: 4711, close: async () => void closed++ };
    };
    const code = runBootstrapCommand(invocationOf('bootstrap', []), world, run);
    while (!world.stdout.text.includes('--bootstrap'))
      await new Promise((resolve) => world.stdout.once('text', resolve));
    world.process.send(signal);
    t.equal(await code, 0);
    t.equal(closed, 1);
    t.same(asked, [{ host: '0.0.0.0', port: 49_737 }]);
    t.equal(
      world.stdout.text,
      'gateways begin their search here with --bootstrap 0.0.0.0:4711 (UDP)\n',
      'what the node says it is',
    );
  }
});

t.test('bootstrap says what is wrong with its port, and why it does not start', async (t) => {
  for (const port of ['x', '0', '65536', '-1', ''])
    t.match(await runHere(['bootstrap', '--port', port]), {
      code: 2,
      err: /--port needs a whole number from 1 to 65535/,
    });
  const fault = Object.assign(new Error('bind'), {
    code: 'EADDRINUSE',
    syscall: 'bind',
    address: '0.0.0.0',
    port: 9,
  });
  const invocation = invocationOf('bootstrap', ['--host', '127.0.0.1', '--port', '9']);
  await t.rejects(
    runBootstrapCommand(invocation, new FakeWorld(), () => Promise.reject(fault)),
    { code: 'LISTEN_FAILED' },
  );
});

t.test('a flag of a list may be repeated', async (t) => {
  const args = ['-', '--peer', 'a:1', '--site', 'x', '--peer', '[::1]:2,b:3', '--bootstrap', 'none'];
  const { mesh } = parseConfig(configSources(invocationOf('join', args), new FakeWorld()));
  t.match(mesh, { peers: ['a:1', '[::1]:2', 'b:3'], bootstrap: ['none'], site: 'x' });
});

t.test('a secret is asked for without echo, or read from standard input', async (t) => {
  const terminal = new FakeTerminalWorld();
  const typed = readSecret('swarm key', terminal);
  terminal.stdin.write(' sprawl1abc \r');
  t.equal(await typed, 'sprawl1abc');
  t.equal(terminal.stderr.text, 'Swarm key: \n');
  const cancelled = readSecret('admin key', terminal);
  terminal.stdin.write('\u0003');
  await t.rejects(cancelled, { code: 'USAGE', message: 'no admin key was given' });
  const empty = readSecret('admin key', terminal);
  terminal.stdin.write('\r');
  await t.rejects(empty, { code: 'USAGE', message: 'no admin key was given' });
  const world = new FakeWorld();
  world.stdin.end('secret\nmore');
  t.equal(await readSecret('swarm key', world), 'secret');
  const nothing = new FakeWorld();
  nothing.stdin.end();
  await t.rejects(readSecret('swarm key', nothing), { message: 'no swarm key on standard input' });
});

t.test('what a gateway would warn of is a line, and nothing else is', async (t) => {
  const { stderr } = new FakeWorld();
  const logger = toolLogger(stderr).child({});
  logger.info('x');
  logger.warn('mind this', { path: 'p' });
  logger.error('and this');
  t.equal(stderr.text, 'warning: mind this: p\nwarning: and this\n');
});
