/** As much of a shell's syntax as pages use. */

interface SimpleCommand {
  readonly words: readonly string[];
}

const OPERATOR = /^(?:\|\||&&|;;|\||&(?!>)|;|\(|\)|\n)/;
const REDIRECT = /^(?:\d?(?:>>|>|<<<|<)(?:&\d)?|&>)/;

/** The simple commands of a text, with the words of each; quotes are taken off, comments left out. */
export function simpleCommands(text: string): SimpleCommand[] {
  const commands: string[][] = [[]];
  let word: string | undefined;
  let rest = withoutHereDocuments(text);
  let skipsWord = false;
  const endWord = (): void => {
    if (word !== undefined && !skipsWord) commands.at(-1)?.push(word);
    if (word !== undefined) skipsWord = false;
    word = undefined;
  };
  const take = (length: number): string => {
    const taken = rest.slice(0, length);
    rest = rest.slice(length);
    return taken;
  };
  while (rest !== '') {
    const quoted = /^'([^']*)'|^"((?:[^"\\]|\\.)*)"|^\\\n|^\\(.)/s.exec(rest);
    const operator = OPERATOR.exec(rest)?.[0];
    const redirect = REDIRECT.exec(rest)?.[0];
    if (quoted !== null) {
      take(quoted[0].length);
      const inner = quoted[1] ?? quoted[2]?.replaceAll(/\\(["\\$`])/g, '$1') ?? quoted[3];
      if (inner !== undefined) word = (word ?? '') + inner;
    } else if (rest.startsWith('$(')) {
      // What it runs is a command of its own; what it is part of goes on behind it.
      const inner = take(endOfSubstitution(rest)).slice(2, -1);
      commands.unshift(...simpleCommands(inner).map(({ words }) => [...words]));
      word = `${word ?? ''}$()`;
    } else if (word === undefined && rest.startsWith('#')) {
      take(/^[^\n]*/.exec(rest)?.[0].length ?? 0);
    } else if (redirect !== undefined && (word === undefined || !/^\d/.test(redirect))) {
      endWord();
      take(redirect.length);
      skipsWord = !redirect.includes('&1') && !redirect.includes('&2');
    } else if (operator !== undefined) {
      endWord();
      take(operator.length);
      commands.push([]);
    } else if (/^[ \t]/.test(rest)) {
      endWord();
      take(1);
    } else word = (word ?? '') + take(1);
  }
  endWord();
  return commands.filter((words) => words.length > 0).map((words) => ({ words }));
}

function endOfSubstitution(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '(') depth += 1;
    if (text[at] === ')' && --depth === 0) return at + 1;
  }
  return text.length;
}

const HERE_DOCUMENT = /<<-?\s*(['"]?)(\w+)\1([^\n]*)\n[\s\S]*?\n\s*\2(?=\n|$)/g;

function withoutHereDocuments(text: string): string {
  return text.replaceAll(HERE_DOCUMENT, '$3');
}

/** Statements, each with the lines that it goes over; lines without any are left out. */
export function statements(text: string): string[] {
  const found: string[] = [];
  let open = '';
  for (const line of text.split('\n')) {
    const next = open === '' ? line : `${open}\n${line}`;
    open = isOpen(next) ? next : '';
    if (open === '' && simpleCommands(next).length > 0) found.push(next);
  }
  if (open !== '') found.push(open);
  return found;
}

/** Whether it goes on in the next line: a backslash, a quote or a here-document. */
function isOpen(text: string): boolean {
  const bare = withoutHereDocuments(text);
  if (/<<-?\s*['"]?\w/.test(bare)) return true;
  if (bare.endsWith('\\')) return true;
  const withoutComments = bare.replaceAll(/(^|\s)#[^\n]*/g, '$1');
  const withoutQuotes = withoutComments.replaceAll(/'[^']*'|"(?:[^"\\]|\\.)*"|\\./gs, '');
  return /['"]/.test(withoutQuotes);
}

/** What may stand in front of a program that it starts. */
const STARTERS = new Set([
  'npx',
  'sudo',
  'env',
  'exec',
  'nohup',
  'time',
  'watch',
  'nice',
  'timeout',
  'setpriv',
  'systemd-run',
]);
/** They get its path as a file, also behind one that starts programs. */
const FILE_TOOLS = new Set(['ln', 'cp', 'mv', 'chmod', 'chown', 'install', 'ls']);
/** Programs that start another somewhere else, with the word behind which it comes. */
const ELSEWHERE = /^(?:docker|podman|ssh|kubectl|runuser|su)$/;

/** The arguments of each call of `sprawl-edge` in a text. */
export function sprawlCalls(text: string): string[][] {
  return simpleCommands(text).flatMap(({ words }) => {
    const at = words.findIndex((word) => /^(?:.*\/)?sprawl-edge(?:\.cjs)?$/.test(word));
    if (at < 0 || !startsProgram(words.slice(0, at))) return [];
    const args = words.slice(at + 1).filter((word) => word !== '…');
    return args.length === 0 ? [] : [args];
  });
}

function startsProgram(before: readonly string[]): boolean {
  const words = before.filter((word) => !/^\w+=/.test(word));
  const [first = ''] = words;
  if (words.some((word) => FILE_TOOLS.has(word))) return false;
  if (first === '' || first === 'node' || STARTERS.has(first)) return true;
  // An option's value or the name of a unit or an image is no program that is started.
  return (
    ELSEWHERE.test(first) && (first === 'ssh' || words.some((word) => /^(?:exec|run|--|-c)$/.test(word)))
  );
}
