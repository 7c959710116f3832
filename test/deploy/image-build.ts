/**
 * Carries a Dockerfile out without Docker: each stage is a folder, COPY copies into it, RUN runs there on this machine's own Node. So an absolute path in a
 * RUN is not followed into the stage, and the images in FROM are taken for empty.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, readFileSync, readlinkSync, statSync, lstatSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';
import { isIgnored, parseDockerfile, type Stage, type Step } from './dockerfile.js';

export interface BuildOptions {
  readonly context: string;
  /** Below it the stages are made. */
  readonly folder: string;
  /** Does a RUN in another way, where it returns true. */
  readonly instead: (command: string, cwd: string) => boolean;
}

export class RunError extends Error {
  readonly output: string;

  constructor(command: string, output: string) {
    super(`${command}: ${output}`);
    this.output = output;
  }
}

export interface Built {
  readonly stage: Stage;
  readonly root: string;
}

/** The last stage. @throws RunError of the first RUN that fails */
export function buildImage(dockerfile: string, options: BuildOptions): Built {
  const roots = new Map<string | undefined, string>();
  let built: Built | undefined;
  for (const [index, stage] of parseDockerfile(dockerfile).entries()) {
    const root = join(options.folder, String(index));
    mkdirSync(root, { recursive: true });
    let workdir = '/';
    for (const step of stage.steps) {
      if (step.name === 'WORKDIR') mkdirSync(join(root, (workdir = step.text)), { recursive: true });
      if (step.name === 'COPY') copy(step, join(root, workdir), root, roots, options);
      if (step.name === 'RUN') run(step.text, join(root, workdir), options);
    }
    roots.set(stage.name, root);
    built = { stage, root };
  }
  if (built === undefined) throw new Error('no FROM');
  return built;
}

function run(command: string, cwd: string, { instead }: BuildOptions): void {
  if (instead(command, cwd)) return;
  const { status, stdout, stderr } = spawnSync(...cleanCommand('sh', ['-c', command]), {
    cwd,
    env: { ...cleanEnvironment(), npm_config_prefer_offline: 'true' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new RunError(command, stdout + stderr);
}

function copy(
  { text, flags }: Step,
  cwd: string,
  root: string,
  roots: ReadonlyMap<string | undefined, string>,
  { context }: BuildOptions,
): void {
  const sources = text.split(' ');
  const to = sources.pop() ?? '';
  const from = flags.get('from');
  const base = from === undefined ? context : roots.get(from);
  if (base === undefined) throw new Error(`COPY --from=${from}: there is no such stage`);
  const rules = readFileSync(join(context, '.dockerignore'), 'utf8');
  const target = to.startsWith('/') ? join(root, to) : join(cwd, to);
  for (const source of sources) {
    if (from === undefined && isIgnored(rules, source))
      throw new Error(`COPY ${source}: .dockerignore keeps it from the builder`);
    const path = join(base, source);
    const isInto = !statSync(path).isDirectory() && to.endsWith('/');
    const goal = isInto ? join(target, basename(source)) : target;
    mkdirSync(dirname(goal), { recursive: true });
    cpSync(path, goal, { recursive: true, verbatimSymlinks: true });
    const owner = Number(flags.get('chown')?.split(':')[0] ?? 0);
    if (process.getuid?.() === 0) chownSync(goal, owner, owner);
  }
}

/** Where a program of the image is, links followed within it. @throws Error where it is in none of the folders */
export function programOf(root: string, name: string): string {
  for (const folder of ['/usr/local/bin', '/usr/bin']) {
    const path = join(root, folder, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found !== undefined) return found.isSymbolicLink() ? join(root, readlinkSync(path)) : path;
  }
  throw new Error(`${name} is not in the image`);
}
