import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

const require = createRequire(import.meta.url);

/**
 * The yaml package, loaded when a file is read or values are shown: it costs 4 MB of resident memory, which a gateway
 * without a configuration file does not need to keep.
 */
export function yamlLibrary(): typeof Yaml {
  return require('yaml') as typeof Yaml;
}
