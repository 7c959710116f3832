/**
 * `npm run mutants [-- ID...]`: makes every break of mutants.ts, or those of the statements that are named, and says whether the
 * test that has to notice did. Ends with 1 where one survived.
 */
import { Laboratory, type Outcome } from './mutation.js';
import { type Mutant, MUTANTS, SEED } from './mutants.js';

const named = (titles: ReadonlySet<string>, { test }: Mutant): boolean =>
  [...titles].some((title) => title.endsWith(`] ${test[1]}`));

/** A test that fails anyway proves nothing. */
async function checkUnbroken(laboratory: Laboratory, mutants: readonly Mutant[]): Promise<void> {
  for (const file of new Set(mutants.map(({ test }) => test[0]))) {
    const { passed } = await laboratory.run(file, []);
    const faulty = mutants.find((mutant) => mutant.test[0] === file && !named(passed, mutant));
    if (faulty !== undefined)
      throw new Error(`${file}: "${faulty.test[1]}" does not pass on the unbroken gateway`);
  }
}

/** Of the whole file; of the test alone where those before it, waiting for what never comes, took all the time. */
async function outcomeOf(laboratory: Laboratory, mutant: Mutant): Promise<Outcome> {
  const [file, sentence] = mutant.test;
  const outcome = await laboratory.run(file, mutant.edits);
  if (named(outcome.passed, mutant) || named(outcome.failed, mutant)) return outcome;
  const alone = await laboratory.run(file, mutant.edits, sentence);
  return { passed: alone.passed, failed: new Set([...outcome.failed, ...alone.failed]) };
}

function print({ edition, statement, breaks, test: [file, sentence] }: Mutant, outcome: Outcome): boolean {
  const others = [...outcome.failed].filter((title) => !title.endsWith(`] ${sentence}`));
  const caught = others.length < outcome.failed.size;
  console.log(`${caught ? 'caught  ' : 'SURVIVED'} ${edition.padEnd(6)}${statement.padEnd(15)}${breaks}`);
  console.log(`${' '.repeat(30)}${file}: ${sentence}`);
  for (const title of others) console.log(`${' '.repeat(32)}also ${title.replace(/^.*\] /, '')}`);
  return caught;
}

async function main(ids: readonly string[]): Promise<number> {
  const mutants = MUTANTS.filter(({ statement }) => ids.length === 0 || ids.includes(statement));
  const laboratory = new Laboratory();
  try {
    await checkUnbroken(laboratory, mutants);
    let caught = 0;
    for (const mutant of mutants) if (print(mutant, await outcomeOf(laboratory, mutant))) caught++;
    console.log(
      `\n${caught} of ${mutants.length} breaks were caught; statements drawn with the seed "${SEED}"`,
    );
    return caught === mutants.length ? 0 : 1;
  } finally {
    laboratory.close();
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  },
);
