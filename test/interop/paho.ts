/**
 * `npm run interop`: the interoperability suites of Eclipse Paho against this gateway, as a table. Ends with 1 when anything
 * fails that is not a named exception, and with 2 when the suites cannot be had.
 */
import { clonePaho, faultsOf, PAHO_COMMIT, runSuite, SUITES, suitesIn, withoutPython } from './paho-suite.js';
import type { PahoResult } from './paho-suite.js';

const SHARDS = 6;

function verdict({ ok, exception }: PahoResult): string {
  if (ok) return 'passed';
  return exception === undefined ? 'FAILED' : 'exception';
}

function print(results: readonly PahoResult[]): void {
  for (const result of results) {
    const { suite, name, seconds, exception } = result;
    const note = exception === undefined ? '' : `  ${exception}`;
    const time = `${seconds.toFixed(1)} s`.padStart(8);
    console.log(`${suite.title.padEnd(11)}${name.padEnd(34)}${verdict(result).padEnd(10)}${time}${note}`);
  }
}

async function runAll(folder: string): Promise<number> {
  const faults: string[] = [];
  for (const suite of SUITES) {
    const results = await runSuite(folder, suite, SHARDS);
    print(results);
    console.log(`${suite.title}: ${results.filter(({ ok }) => ok).length} of ${suite.tests} passed\n`);
    faults.push(...faultsOf(suite, results));
  }
  for (const fault of faults) console.error(fault);
  return faults.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const missing = withoutPython();
  if (missing !== false) throw new Error(missing);
  const given = process.env['PAHO_TESTING_DIR'];
  if (given !== undefined && given !== '') return runAll(suitesIn(given));
  console.log(`cloning paho.mqtt.testing at ${PAHO_COMMIT} (PAHO_TESTING_DIR names a folder to use instead)`);
  const clone = clonePaho();
  try {
    return await runAll(suitesIn(clone.folder));
  } finally {
    clone.remove();
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  },
);
