/**
 * Brings one stretch of an origin's log after the other into the archive. Each step can be interrupted, and be done once more:
 *
 *     cut (durable) ─▶ build ─▶ create each object ─▶ read it back ─▶ manifest entry ─▶ the log may go
 *
 * What is cut is cut for good, so that who begins again makes the same objects under the same keys. Two that work for one origin at the
 * same time make the same or other ones; the manifest takes one of them, and what the other has made is litter.
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import {
  type ArchivedObject,
  hashOf,
  type ManifestEntry,
  type ManifestTip,
  type PositionRange,
  writtenObject,
} from './manifest-entry.js';
import { type Manifest, PAGE_ENTRIES } from './manifest.js';
import { type ObjectBody, ObjectFault, type ObjectStore } from './object-store.js';
import type { ArchivedLives } from './stretch.js';

/** A stretch of the log that makes one entry. */
export interface Cut {
  readonly epoch: Epoch;
  readonly after: LogPosition;
  readonly upTo: LogPosition;
  /** See ManifestEntry. */
  readonly config: string;
  /** When it was cut, milliseconds since 1970: what came before the clock could be trusted is dated by it. */
  readonly atMs: number;
}

export interface BuiltObject extends ArchivedObject {
  readonly body: ObjectBody;
}

/** What a cut made: always the same of the same log. */
export interface BuiltCut {
  readonly objects: readonly BuiltObject[];
  /** Positions that could not be read. */
  readonly lost: readonly PositionRange[];
  /** It is not needed any more. */
  dispose(): Promise<void>;
}

export interface ArchiverPorts {
  readonly self: GatewayId;
  readonly objects: ObjectStore;
  readonly manifest: Manifest;
  /** What is to be archived behind the end of the archive: the same each time until it is there, also after a crash. undefined: nothing yet. */
  cutAfter(tip: ManifestTip, lives: ArchivedLives): Promise<Cut | undefined>;
  build(cut: Cut): Promise<BuiltCut>;
  /** Hears of each entry that is there before the first step, in order. */
  entry?(entry: ManifestEntry): void;
  /** Everything up to here is in the archive. @param built what this step has added to it; undefined: it was there */
  archived(tip: ManifestTip, lives: ArchivedLives, built: BuiltCut | undefined): void;
}

/** `done`: one more stretch. `overtaken`: somebody else has done it. `idle`: there is nothing to do yet. */
export type ArchiveStep = 'done' | 'overtaken' | 'idle';

/** Of the end of an object that is read back; the footer of a Parquet file is in it, and of a small one everything. */
const CHECKED_BYTES = 65_536;
/** What it means where an entry is missing that the gateway itself had written. */
export const OTHER_PLACE =
  'what is at archive.target now is not the archive that was there; see that its disk is mounted, and that nobody moved it; for a new archive give archive.target another path or prefix';

export class Archiver {
  readonly #ports: ArchiverPorts;
  readonly #lives = new Map<string, LogPosition>();
  #isRead = false;

  constructor(ports: ArchiverPorts) {
    this.#ports = ports;
  }

  /**
   * The next stretch; not while another step is under way. After a fault it is to be called again.
   * @throws ObjectFault, ManifestFault, and what the log and the disk say
   */
  async step(): Promise<ArchiveStep> {
    const { manifest } = this.#ports;
    await this.#readManifest();
    const cut = await this.#ports.cutAfter(manifest.tip, this.#lives);
    if (cut === undefined) return 'idle';
    // A folder that is gone, as where its disk is not mounted any more, is made again: an entry there would have none before it.
    if (manifest.tip.number > 0) await manifest.expect(manifest.tip, OTHER_PLACE);
    const built = await this.#ports.build(cut);
    try {
      for (const object of built.objects) await this.#bring(object);
      const { epoch, after, upTo, config } = cut;
      const objects = built.objects.map(writtenObject);
      const rows = objects.reduce((sum, object) => sum + object.rows, 0);
      const draft = { epoch, after, upTo, lost: built.lost, config, rows, objects, by: this.#ports.self };
      const isOurs = await manifest.append(draft);
      this.#reached(manifest.tip, isOurs ? built : undefined);
      await this.#writePage(manifest.tip.number);
      return isOurs ? 'done' : 'overtaken';
    } finally {
      await built.dispose();
    }
  }

  /** What others, or an earlier life, have written. */
  async #readManifest(): Promise<void> {
    if (this.#isRead) return;
    const { manifest } = this.#ports;
    for await (const entry of manifest.read()) {
      this.#lives.set(entry.epoch.nonce, entry.upTo);
      this.#ports.entry?.(entry);
    }
    this.#isRead = true;
    this.#ports.archived(manifest.tip, this.#lives, undefined);
  }

  /** Where one is full: whoever begins has 256 entries with one request. What fails here is done by nobody else, and costs only time. */
  async #writePage(last: number): Promise<void> {
    if (last % PAGE_ENTRIES === 0) await this.#ports.manifest.writePage(last);
  }

  #reached(tip: ManifestTip, built: BuiltCut | undefined): void {
    if (tip.epoch !== undefined) this.#lives.set(tip.epoch.nonce, tip.upTo);
    this.#ports.archived(tip, this.#lives, built);
  }

  /** The object is there, with what it is to have. */
  async #bring(object: BuiltObject): Promise<void> {
    const { objects } = this.#ports;
    const { key, body, length } = object;
    await objects.create(key, body);
    const stat = await objects.stat(key);
    if (stat?.length !== length) {
      const found = stat === undefined ? 'is not there' : `has ${stat.length} bytes and not ${length}`;
      throw new ObjectFault('other', `${key} was stored in ${objects.name}, and ${found}`);
    }
    const checked = Math.min(length, CHECKED_BYTES);
    const offset = length - checked;
    const [there, here] = await Promise.all([
      objects.read(key, { offset, length: checked }),
      body.read(offset, checked),
    ]);
    if (there === undefined || hashOf(there) !== hashOf(here))
      throw new ObjectFault('other', `${key} was stored in ${objects.name}, and reads otherwise`);
  }
}
