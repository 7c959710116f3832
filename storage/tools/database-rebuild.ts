import type { LogPosition } from '../../lib/contracts/store.js';
import type { Vault } from '../crypto/vault.js';
import type { Layout } from '../disk/layout.js';
import { type Changes, StateIndex } from '../disk/state-index.js';
import { TopicIndex } from '../disk/topic-index.js';
import { crc32c } from '../log/crc32c.js';
import { parseSegmentFileName, SEGMENT_HEADER_BYTES } from '../log/segment-header.js';
import { type RecordVisitor, scanSegment } from '../log/segment-scan.js';
import { readMessageRecord } from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';
import { type ToolParts, unsealed } from './data-folder.js';

/**
 * Puts the newest whole snapshot in place of the database, and the index of topics, which a snapshot is without. What the log has after
 * the snapshot the next start adds. @returns the position of the snapshot; 0: there was none
 */
export async function rebuildDatabase(
  parts: ToolParts,
  layout: Layout,
  identity: Uint8Array,
  vault: Vault | undefined,
): Promise<LogPosition> {
  const { files, openDatabase, logger } = parts;
  const database = unsealed(openDatabase(layout.index), vault);
  await database.destroy();
  const index = new StateIndex({
    files,
    database,
    vault,
    snapshotFolder: layout.snapshots,
    identity,
    logger,
  });
  await index.open(
    false,
    () => undefined,
    () => undefined,
  );
  try {
    await indexTopics(parts, layout, identity, vault, index);
    return index.applied;
  } finally {
    await index.close();
  }
}

/** A block of the index for each segment. */
async function indexTopics(
  { files, onProgress }: ToolParts,
  layout: Layout,
  identity: Uint8Array,
  vault: Vault | undefined,
  index: StateIndex,
): Promise<void> {
  const { applied } = index;
  const seed = crc32c(identity, 0, identity.length);
  const topics = new TopicIndex();
  const names = (await files.list(layout.log)).filter((name) => parseSegmentFileName(name) !== undefined);
  for (const [i, name] of names.entries()) {
    const first = parseSegmentFileName(name) as number;
    if (first > applied) return;
    const file = await files.open(`${layout.log}/${name}`, 'read');
    try {
      const range = { offset: SEGMENT_HEADER_BYTES, position: first, end: await file.size() };
      const visit: RecordVisitor = (position, type, bytes, start, end) => {
        if (position > applied || (type !== RecordType.message && type !== RecordType.retained)) return;
        const { message, wallMs } = readMessageRecord(bytes, start, end);
        topics.add(message.topic, position, wallMs);
      };
      await scanSegment(file, range, seed, visit, vault);
    } finally {
      await file.close();
    }
    const changes: Changes = new Map();
    topics.beginCheckpoint();
    await topics.encode(changes, () => Promise.resolve());
    if (changes.size > 0) await index.write(applied, changes);
    topics.written();
    onProgress({ doing: 'making the index of topics', doneBytes: i + 1, ofBytes: names.length });
  }
}
