import { keyProviderOf } from '../../lib/contracts/master-key.js';
import { nodeFileSystem } from '../files/node-file-system.js';
import { copyLevel } from '../state/level-copy.js';
import { LevelStore } from '../state/level-store.js';
import type { ToolParts } from './data-folder.js';

export interface ToolSettings {
  readonly dataDir: string;
  readonly encryptionKeyFile?: string | undefined;
  readonly encryptionKey?: string | undefined;
}

/** The world of tools for a data folder on this machine. */
export function createToolParts(
  { dataDir, encryptionKeyFile, encryptionKey }: ToolSettings,
  parts: Pick<ToolParts, 'clock' | 'timers' | 'logger' | 'schedule' | 'onProgress'>,
): ToolParts {
  return {
    ...parts,
    files: nodeFileSystem,
    folder: dataDir,
    openDatabase: (folder) => new LevelStore(folder),
    copyDatabase: copyLevel,
    compactDatabase,
    keyProvider: keyProviderOf('storage', { key: encryptionKey, keyFile: encryptionKeyFile }),
  };
}

async function compactDatabase(folder: string): Promise<void> {
  const database = new LevelStore(folder);
  await database.open(false);
  try {
    await database.compact();
  } finally {
    await database.close();
  }
}
