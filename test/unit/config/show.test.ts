import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseConfig, renderConfig, resolveConfig } from '../../../lib/config/index.js';
import { renderConfigurationReference } from '../../../lib/config/reference.js';
import type { ConfigSection } from '../../../lib/config/key-table.js';

const machine = {
  memoryTotalBytes: 1 << 30,
  openFilesMax: 100_000,
  heapMaxBytes: 2 ** 32,
  diskTotalBytes: () => 2 ** 35,
};

t.test('the shown configuration names the source of each value', async (t) => {
  const flags = [{ flag: '--mqtt-port', key: 'listeners.mqttPort', text: '0' }];
  const text = renderConfig(
    resolveConfig({ machine, flags, file: { path: 's.yaml', text: 'log: {level: warn}' } }),
  );
  t.match(text, /^ {2}mqttPort: 0 # flag --mqtt-port$/m);
  t.match(text, /^ {2}level: warn # s\.yaml:1$/m);
  t.match(text, /^ {2}wsPort: 8083 # default$/m);
  t.match(text, /^ {2}# tls: not set$/m);
});

t.test('the shown configuration is a file that gives the same configuration', async (t) => {
  const overrides = {
    dataDir: "a: b # c's",
    delivery: { deadLetterTopic: '' },
    security: { acl: [{ users: ['x, y'], publish: ['a/#'] }] },
    listeners: { tls: { certFile: 'c', keyFile: '- k' } },
  };
  const resolved = resolveConfig({ machine, overrides });
  const again = parseConfig({ machine, file: { path: 'shown', text: renderConfig(resolved) } });
  t.strictSame(again, resolved.config);
});

t.test('secrets are masked', async (t) => {
  const common = {
    name: 'token',
    description: '',
    envName: '',
    limitText: '',
    defaultText: '',
    reading: 'text',
  } as const;
  const root: ConfigSection = {
    kind: 'section',
    name: '',
    description: '',
    children: new Map([['dataDir', { kind: 'key', ...common, secret: true }]]),
  };
  t.equal(
    renderConfig(resolveConfig({ machine, overrides: { dataDir: 'hush' } }), root),
    "dataDir: '***' # default\n",
  );
});

t.test('docs/configuration.md is what the schema says (npm run docs writes it)', async (t) => {
  const page = readFileSync(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8');
  t.equal(page, renderConfigurationReference());
});
