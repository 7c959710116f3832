/**
 * Breaks the gateway on purpose and runs a test against it: the compiled project is copied once, and for each mutant the
 * files that it edits are compiled anew into the copy and put back afterwards. Nothing of the project itself changes.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import type { Edit } from './mutants.js';

export const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const RUN_MAX_MS = 120_000;

/** @throws Error where `search` does not stand exactly once in its file. @returns the new text of each file that is edited. */
export function editedTexts(edits: readonly Edit[]): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { file, search, replace } of edits) {
    const text = texts.get(file) ?? readFileSync(join(PROJECT, file), 'utf8');
    const [before, after, ...more] = text.split(search);
    if (before === undefined || after === undefined || more.length > 0)
      throw new Error(`${file} has this ${after === undefined ? 'nowhere' : 'more than once'}: ${search}`);
    texts.set(file, before + replace + after);
  }
  return texts;
}

/** Compiles files of the project whose text is another one. */
class Compiler {
  readonly #texts = new Map<string, string>();
  readonly #service: ts.LanguageService;
  #version = 0;

  constructor() {
    const { config } = ts.readConfigFile(join(PROJECT, 'tsconfig.json'), (path) => ts.sys.readFile(path));
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, PROJECT);
    // One file at a time, for nothing but its JavaScript.
    const settings = {
      ...options,
      composite: false,
      incremental: false,
      declaration: false,
      sourceMap: false,
    };
    const read = (path: string): string | undefined =>
      this.#texts.get(relative(PROJECT, path)) ?? ts.sys.readFile(path);
    this.#service = ts.createLanguageService({
      getCompilationSettings: () => settings,
      getCurrentDirectory: () => PROJECT,
      getDefaultLibFileName: (given) => ts.getDefaultLibFilePath(given),
      getScriptFileNames: () => [
        join(PROJECT, 'lib/index.ts'),
        ...[...this.#texts.keys()].map((file) => join(PROJECT, file)),
      ],
      getScriptVersion: (path) => (this.#texts.has(relative(PROJECT, path)) ? `${this.#version}` : '0'),
      getScriptSnapshot: (path) => {
        const text = read(path);
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
      },
      fileExists: (path) => ts.sys.fileExists(path),
      readFile: read,
    });
  }

  /** @throws Error where the text does not compile: a mutant that cannot run is no mutant. @returns JavaScript by path in `dist`. */
  compile(texts: ReadonlyMap<string, string>): Map<string, string> {
    this.#texts.clear();
    this.#version++;
    for (const [file, text] of texts) this.#texts.set(file, text);
    const emitted = new Map<string, string>();
    for (const file of texts.keys()) {
      const path = join(PROJECT, file);
      const faults = [
        ...this.#service.getSyntacticDiagnostics(path),
        ...this.#service.getSemanticDiagnostics(path),
      ];
      if (faults.length > 0) {
        const what = faults.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
        throw new Error(`${file} does not compile: ${what.join('; ')}`);
      }
      for (const { name, text } of this.#service.getEmitOutput(path).outputFiles)
        if (name.endsWith('.js')) emitted.set(relative(PROJECT, name), text);
    }
    return emitted;
  }
}

/** What a test file said. */
export interface Outcome {
  /** Titles of the tests that passed, and of those that did not. */
  readonly passed: ReadonlySet<string>;
  readonly failed: ReadonlySet<string>;
}

export class Laboratory {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sprawl-mutants-'));
  readonly #compiler = new Compiler();

  constructor() {
    for (const name of ['bin', 'dist', 'package.json'])
      cpSync(join(PROJECT, name), join(this.#folder, name), { recursive: true });
    symlinkSync(join(PROJECT, 'node_modules'), join(this.#folder, 'node_modules'));
  }

  /** Runs a test file of `test/conformance`, or one test of it, with the edits made for that time. */
  run(testFile: string, edits: readonly Edit[], sentence?: string): Promise<Outcome> {
    return this.broken(edits, async () => parseTap(await this.#tapOf(testFile, sentence)));
  }

  /** @param use is given the folder of the copy, with the edits made until it resolves. */
  async broken<T>(edits: readonly Edit[], use: (project: string) => Promise<T>): Promise<T> {
    const emitted = this.#compiler.compile(editedTexts(edits));
    for (const [path, text] of emitted) writeFileSync(join(this.#folder, path), text);
    try {
      return await use(this.#folder);
    } finally {
      for (const path of emitted.keys()) cpSync(join(PROJECT, path), join(this.#folder, path));
    }
  }

  async #tapOf(testFile: string, sentence: string | undefined): Promise<string> {
    const path = join(this.#folder, 'dist/test/conformance', testFile.replace(/\.ts$/, '.js'));
    const child = spawn(process.execPath, [path], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: RUN_MAX_MS,
      killSignal: 'SIGKILL',
      env: sentence === undefined ? process.env : { ...process.env, TAP_GREP: `${literal(sentence)}$` },
    });
    const chunks: Buffer[] = [];
    for await (const chunk of child.stdout) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const literal = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Results at any depth whose name is a title of this suite; a subtest ends in its parent's list. */
function parseTap(tap: string): Outcome {
  const passed = new Set<string>();
  const failed = new Set<string>();
  for (const [line, not, text = ''] of tap.matchAll(/^ *(not )?ok \d+ - (.*)$/gm)) {
    if (line.includes(' # SKIP')) continue;
    const title = text.replace(/ # time=.*$/, '').replaceAll(/\\([#\\])/g, '$1');
    if (/^(?:3\.1\.1|5) \[MQTT-/.test(title)) (not === undefined ? passed : failed).add(title);
  }
  return { passed, failed };
}
