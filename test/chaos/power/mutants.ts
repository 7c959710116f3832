/**
 * The proof of the loss of power put to the test: for each row of the table of docs/architecture.md ("what must be synced before a
 * packet leaves") a break of the gateway that lets the packet out too soon, and some of the syncs themselves.
 */
import type { Edit } from '../../conformance/mutants.js';
import type { PromiseKind } from './promises.js';

export interface PowerMutant {
  readonly breaks: string;
  /** The promise that must be seen to be broken. */
  readonly kind: PromiseKind;
  readonly edits: readonly Edit[];
}

const edit = (file: string, search: string, replace: string): Edit => ({ file, search, replace });
const inIngest = (search: string, replace: string): Edit => edit('lib/ingest/ingest.ts', search, replace);

export const POWER_MUTANTS: readonly PowerMutant[] = [
  {
    breaks: 'PUBACK does not wait for the message',
    kind: 'PUBACK',
    edits: [
      inIngest(
        'commits.after(position, new QoS1Waiter(this, session, link, message, packetId, route));',
        'new QoS1Waiter(this, session, link, message, packetId, route).committed();',
      ),
    ],
  },
  {
    breaks: 'PUBREC does not wait for the message',
    kind: 'PUBREC',
    edits: [inIngest('    commits.after(position, waiter);', '    waiter.committed();')],
  },
  {
    breaks: 'the message is stored without its packet id',
    kind: 'PUBREC',
    edits: [
      edit(
        'storage/disk/disk-store.ts',
        'const packetId = session === undefined ? 0 : (origin as MessageOrigin).packetId;',
        'const packetId = 0;',
      ),
    ],
  },
  {
    breaks: 'PUBCOMP does not wait for the release',
    kind: 'PUBCOMP',
    edits: [
      inIngest(
        `    if (position <= store.committed && commits.length === 0) {
      this.#pubcomp(link, packetId, 0);`,
        `    if (position > 0) {
      this.#pubcomp(link, packetId, 0);`,
      ),
    ],
  },
  {
    breaks: 'PUBLISH of QoS 2 does not wait for its packet id',
    kind: 'PUBLISH',
    edits: [
      edit('lib/delivery/in-flight.ts', 'if (position > this.#env.store.committed) {', 'if (position < 0) {'),
    ],
  },
  {
    breaks: 'PUBREL does not wait for PUBREC',
    kind: 'PUBREL',
    edits: [
      edit(
        'lib/delivery/in-flight.ts',
        '() => this.#sendPubrel(id, 0));',
        '() => undefined); this.#sendPubrel(id, 0);',
      ),
    ],
  },
  {
    breaks: 'SUBACK does not wait for the subscriptions',
    kind: 'SUBACK',
    edits: [
      edit(
        'lib/session/subscription-set.ts',
        'this.#env.commits.after(position, { committed });',
        'if (position > 0) committed();',
      ),
    ],
  },
  {
    breaks: 'UNSUBACK does not wait for the end of the subscriptions',
    kind: 'UNSUBACK',
    edits: [
      edit(
        'lib/session/subscription-set.ts',
        'this.#env.commits.after(position, { committed: apply });',
        'if (position > 0) apply();',
      ),
    ],
  },
  {
    breaks: 'CONNACK does not wait for the new session',
    kind: 'CONNACK of a new session',
    edits: [
      edit(
        'lib/session/registry.ts',
        'Math.max(this.#endedAt, createdAt)',
        'createdAt > 0 ? 0 : this.#endedAt',
      ),
    ],
  },
  {
    breaks: 'CONNACK of a clean start does not wait for the end of the old session',
    kind: 'CONNACK of a clean start',
    edits: [
      edit(
        'lib/session/registry.ts',
        'Math.max(this.#endedAt, createdAt)',
        'createdAt > 0 ? Math.max(this.#endedAt, createdAt) : 0',
      ),
    ],
  },
  {
    breaks: 'a commit is not synced',
    kind: 'PUBACK',
    edits: [
      edit(
        'storage/log/log.ts',
        `    await file.write(bytes, offset);
    await file.sync();`,
        '    await file.write(bytes, offset);',
      ),
    ],
  },
  {
    breaks: 'the name of a new segment is not synced',
    kind: 'PUBACK',
    edits: [
      edit(
        'storage/log/segment.ts',
        '  await files.rename(unfinished, path);\n  await files.syncFolder(folder);\n',
        '  await files.rename(unfinished, path);\n',
      ),
    ],
  },
  {
    breaks: 'the names of folders are not synced',
    kind: 'PUBACK',
    edits: [
      edit('storage/disk/disk-store.ts', '    await files.syncFolder(this.#options.folder);\n', ''),
      edit('lib/contracts/durable-folder.ts', '    await syncFolder(dirname(path));\n', ''),
    ],
  },
];
