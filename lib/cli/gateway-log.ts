/** The log of a gateway, to compare it with an archive: of its data folder, or of the gateway itself while it runs. */
import {
  BLOCK_BYTES,
  decodeFacts,
  decodeLine,
  type GatewayLog,
  type LogBlock,
  type LogMark,
  logBlocks,
} from '../archive-tools.js';
import type { Config } from '../config/index.js';
import type { ArchivesStatus } from '../contracts/archive-status.js';
import { SprawlError } from '../contracts/errors.js';
import { readGateway } from '../mesh-tools.js';
import { toolPartsOf, withOwnLog } from '../storage-tools.js';
import { askForLines, askGateway, expectAnswer, urlOf } from './gateway-http.js';

const PATH = '/api/v1/archive/log';

/**
 * Runs `task` on the log of the gateway that a configuration is of. While the folder is read no gateway starts on it.
 * @param url where a gateway that runs is asked; undefined: the data folder is read, or who uses it is asked
 * @throws SprawlError HTTP_FAILED, ARCHIVE_MISSING where no gateway has archived from the folder, STORAGE_…, MESH_FILE_…
 */
export async function withGatewayLog<T>(
  config: Config,
  url: string | undefined,
  task: (log: GatewayLog) => Promise<T>,
): Promise<T> {
  const { target } = config.archive;
  if (url !== undefined) return task(await logOfRunning(url, target));
  return withOwnLog(
    toolPartsOf(config, () => undefined),
    async (folder) => {
      const { dataDir } = config;
      const gateway = await readGateway(config);
      if (gateway === undefined)
        throw new SprawlError(
          'ARCHIVE_MISSING',
          `no gateway has archived anything from ${dataDir}: it has no identity; --data-dir says which folder is meant`,
          { details: { dataDir } },
        );
      const { id: origin, lineage } = gateway;
      if (folder === undefined)
        return task(expectSame(await logOfRunning(urlOf(config), target), origin, config));
      const { first, committed } = folder;
      const ports = {
        readOwn: (from: number) => folder.readOwn(from, BLOCK_BYTES, { passed: true }),
        pause: () => Promise.resolve(),
      };
      const read = (after: number, upTo: number): AsyncIterable<LogBlock> => logBlocks(ports, after, upTo);
      return task({ origin, lineage, first, committed, read });
    },
  );
}

function expectSame(log: GatewayLog, origin: string, config: Config): GatewayLog {
  if (log.origin === origin) return log;
  throw new SprawlError(
    'HTTP_FAILED',
    `a gateway uses ${config.dataDir}, and another one answers at ${urlOf(config)}: --url says where the one that uses it does`,
    { details: { origin, answered: log.origin } },
  );
}

/** @param target of the archive that it is compared with: maybe one of those that the gateway writes to */
async function logOfRunning(url: string, target: string): Promise<GatewayLog> {
  const [line = ''] = await all(askForLines(url, `${PATH}?upTo=0`));
  const facts = decodeFacts(line);
  if (facts === undefined) throw notUnderstood(url, line);
  const answer = await askGateway(url, '/api/v1/archive');
  expectAnswer(url, answer);
  const status = JSON.parse(answer.text) as ArchivesStatus;
  const own = [status, status.copy].find((one) => one?.target === target);
  return { ...facts, lastEntry: own?.tip?.number, read: (after, upTo) => blocksOf(url, after, upTo) };
}

/** An answer at a time: between two of them the archive may take as long as it likes. @throws SprawlError HTTP_FAILED */
async function* blocksOf(url: string, after: number, upTo: number): AsyncGenerator<LogBlock> {
  for (let at = after; at < upTo;) {
    const [, ...lines] = await all(askForLines(url, `${PATH}?after=${at}&upTo=${upTo}`));
    // Nothing is committed behind it.
    if (lines.length === 0) return;
    let marks: LogMark[] = [];
    for (const line of lines) {
      const said = decodeLine(line);
      if (said === undefined) throw notUnderstood(url, line);
      if (!('next' in said)) {
        marks.push(said);
        continue;
      }
      yield { ...said, marks };
      marks = [];
      at = said.next - 1;
    }
  }
}

async function all(lines: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const line of lines) found.push(line);
  return found;
}

function notUnderstood(url: string, line: string): SprawlError {
  return new SprawlError(
    'HTTP_FAILED',
    `the gateway at ${url} answered with ${line.length} characters that are no line of a log: are both of one version?`,
    { details: { url } },
  );
}
