/** The archive as those see it who never meet a gateway: the files of the bucket, and DuckDB with the definition that docs/archive-consumers.md gives. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const PAGE = new URL('../../../docs/archive-consumers.md', import.meta.url);
const FOLDER_OF_PAGE = '/var/lib/sprawl/archive';

export interface QueryLine {
  readonly site: string;
  readonly quantity: string;
  readonly unit: string;
  readonly messages: number;
  readonly least: number;
  readonly mean: number;
  readonly most: number;
}

/** As `aws s3 sync` would bring them here. @param prefix in front of the keys of the archive */
export function copyObjects(objects: ReadonlyMap<string, Uint8Array>, prefix: string, folder: string): void {
  for (const [key, bytes] of objects) {
    if (!key.startsWith(prefix)) continue;
    const path = join(folder, key.slice(prefix.length));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
}

export const QUERY = `SELECT site, split_part(topic, '/', 4) AS quantity, any_value(json->>'unit') AS unit, count(*)::INTEGER AS messages,
  min((json->>'value')::DOUBLE) AS least, round(avg((json->>'value')::DOUBLE), 2) AS mean, max((json->>'value')::DOUBLE) AS most
FROM archived GROUP BY site, quantity ORDER BY site, quantity`;

/** What the archive in a folder has of each site and quantity. */
export async function query(folder: string): Promise<QueryLine[]> {
  const page = readFileSync(PAGE, 'utf8');
  const blocks = [...page.matchAll(/```sql\n(.*?)```/gs)].map(([, sql = '']) =>
    sql.replaceAll(FOLDER_OF_PAGE, folder),
  );
  const definition = blocks.find((sql) => sql.includes('CREATE VIEW archived'));
  if (definition === undefined)
    throw new Error('docs/archive-consumers.md does not define the view "archived"');
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  try {
    await connection.run(definition);
    return (await connection.runAndReadAll(QUERY)).getRowObjectsJson() as unknown as QueryLine[];
  } finally {
    connection.closeSync();
  }
}
