import t from 'tap';
import { faultsOf, runSuite, SUITES, suitesIn, withoutPython } from './paho-suite.js';

const folder = process.env['PAHO_TESTING_DIR'] ?? '';
const skip =
  folder === ''
    ? 'PAHO_TESTING_DIR does not name a checkout of paho.mqtt.testing; npm run interop fetches one'
    : withoutPython();

t.setTimeout(300_000);
for (const suite of SUITES) {
  t.test(
    `the ${suite.title} suite of Eclipse Paho passes but for the named exceptions`,
    { skip },
    async (t) => {
      t.strictSame(faultsOf(suite, await runSuite(suitesIn(folder), suite, 6)), []);
    },
  );
}
