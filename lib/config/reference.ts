import { writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { CONFIG_ROOT, type ConfigKey, type ConfigSection } from './key-table.js';

const INTRODUCTION = `# Configuration

<!-- Written by lib/config/reference.ts from the schema; do not edit by hand. -->

A gateway runs without any configuration. What you want otherwise comes from, strongest first:

1. flags: \`sprawl-edge up --mqtt-port 1884\`, or \`--set KEY=VALUE\` for any key (\`--set delivery.windowMax=20\`);
2. environment variables: \`SPRAWL_LISTENERS__MQTT_PORT=1884\` (two underscores between levels; lists separated by commas or as JSON);
3. a YAML file: \`sprawl-edge up --config sprawl.yaml\`. Without \`--config\` no file is read;
4. the defaults below.

\`sprawl-edge config show\` prints the effective values and where each came from, as a file that \`--config\` takes;
\`sprawl-edge config check\` prints the first mistake, with its file and line, and ends with 2; \`sprawl-edge config schema\` prints
the JSON Schema. Unknown keys are mistakes. Values are read once, at the start; SIGHUP reloads the password and ACL files, those of
encryption keys, and the certificates and keys of the listeners only.

The end of a name is its unit: \`Ms\` milliseconds, \`S\` seconds, \`Bytes\` bytes, \`Count\` and \`Max\` a number of things.

\`\`\`yaml
# sprawl.yaml: open to the site's network, with passwords
listeners:
  host: 0.0.0.0
  tls:
    certFile: /etc/sprawl-edge/gateway.crt
    keyFile: /etc/sprawl-edge/gateway.key
security:
  passwordFile: /etc/sprawl-edge/passwords
log:
  format: json
\`\`\`
`;

function keyText(key: ConfigKey): string {
  const fallback =
    key.defaultText.includes(' ') || key.defaultText === 'required' || key.defaultText === 'none';
  return [
    `### ${key.name}`,
    '',
    key.description,
    '',
    `- Value: ${key.limitText}`,
    `- Default: ${fallback ? key.defaultText : `\`${key.defaultText}\``}`,
    `- Environment: \`${key.envName}\``,
    '',
  ].join('\n');
}

function sectionText(section: ConfigSection): string {
  const heading = section.name.includes('.') ? '###' : '##';
  return `${heading} ${section.name}\n\n${section.description}\n\n${entriesText(section)}`;
}

function entriesText(section: ConfigSection): string {
  const entries = [...section.children.values()];
  return entries.map((entry) => (entry.kind === 'key' ? keyText(entry) : sectionText(entry))).join('\n');
}

/** The page docs/configuration.md. */
export function renderConfigurationReference(): string {
  return `${INTRODUCTION}\n## Keys\n\n${entriesText(CONFIG_ROOT)}`;
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  writeFileSync(new URL('../../../docs/configuration.md', import.meta.url), renderConfigurationReference());
}
