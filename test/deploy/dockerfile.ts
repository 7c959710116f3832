/** As much of the language of Dockerfiles and of .dockerignore as this project uses; what is unknown is an error, so that nothing is passed over. */

export interface Step {
  readonly name: string;
  /** Without flags, as it stands. */
  readonly text: string;
  readonly flags: ReadonlyMap<string, string>;
}

export interface Stage {
  readonly image: string;
  readonly platform: string | undefined;
  readonly name: string | undefined;
  readonly steps: readonly Step[];
}

const KNOWN: ReadonlySet<string> = new Set([
  ...['ARG', 'FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER'],
  ...['VOLUME', 'EXPOSE', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'],
]);

function parseStep(line: string): Step {
  const [name = '', ...words] = line.trim().split(/\s+/);
  if (!KNOWN.has(name)) throw new Error(`${name} is not known here: ${line}`);
  const flagCount = words.findIndex((word) => !word.startsWith('--'));
  const flags = words.slice(0, flagCount).map((word): [string, string] => {
    const [, key = '', value = ''] = /^--([a-z-]+)=(.*)$/.exec(word) ?? [];
    return [key, value];
  });
  return { name, text: words.slice(flagCount).join(' '), flags: new Map(flags) };
}

/** @throws Error at an instruction that is not known here */
export function parseDockerfile(text: string): readonly Stage[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n');
  const stages: (Stage & { readonly steps: Step[] })[] = [];
  const values = new Map<string, string>();
  for (const step of lines.filter((line) => line.trim() !== '').map(parseStep)) {
    if (step.name === 'ARG') {
      const [, key = '', value = ''] = /^(\w+)=(.*)$/.exec(step.text) ?? [];
      values.set(key, value);
    } else if (step.name === 'FROM') {
      const [image = '', , name] = step.text
        .replaceAll(/\$\{(\w+)\}/g, (_, key: string) => values.get(key) ?? '')
        .split(' ');
      stages.push({ image, name, platform: step.flags.get('platform'), steps: [] });
    } else stages.at(-1)?.steps.push(step);
  }
  return stages;
}

/** Of an instruction in the form of a list. @throws Error where it is in the form for a shell */
export function listOf(text: string): readonly string[] {
  const list = JSON.parse(text) as unknown;
  if (!Array.isArray(list)) throw new Error(`${text} is no list`);
  return list.map(String);
}

/** Of the one step with this name; the last one counts, as for Docker. */
export function textOf(stage: Stage, name: string): string {
  return stage.steps.findLast((step) => step.name === name)?.text ?? '';
}

/** Whether `path`, a file or folder of the context, is kept from the builder by a .dockerignore. The last line that matches it or a folder above it decides. */
export function isIgnored(rules: string, path: string): boolean {
  let ignored = false;
  for (const line of rules.split('\n').map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const isException = line.startsWith('!');
    const pattern = (isException ? line.slice(1) : line)
      .replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '[^/]*');
    if (new RegExp(`^${pattern}(/.*)?$`).test(path)) ignored = !isException;
  }
  return ignored;
}
