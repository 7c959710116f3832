/**
 * Gateways that finish for each other: what this one tells others of its archive, and what it keeps of theirs.
 *
 *     links ⇄ Standby ─┬─ CopySender    one for each link: copies of what is to be archived here
 *                      ├─ Keeper        one for each gateway that is kept for
 *                      └─ Finishing     brings what is kept into the archives of gateways that are gone
 */
import type { StandbyStatus } from '../../../lib/contracts/archive-status.js';
import { type GatewayId, parseGatewayId, shortId } from '../../../lib/contracts/gateway-id.js';
import type { MasterKey } from '../../../lib/contracts/master-key.js';
import type { ChannelUser, LinkedGateway } from '../../../lib/contracts/peer-channel.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import type { LogRead } from '../row-columns.js';
import { decodeCopyFrame, encodeOffer, encodeWithheld } from './copy-frames.js';
import { CopySender } from './copy-sender.js';
import type { FinisherPorts, FinisherSettings } from './finisher.js';
import { Finishing } from './finishing.js';
import { Keeper, type KeeperOptions, type KeeperPorts, type KeeperStore } from './keeper.js';
import type { ArchiveOffer } from './offer.js';
import { statusOfFinished, statusOfKeeper, statusOfMissing } from './standby-status.js';

export interface StandbySettings extends FinisherSettings, KeeperOptions {
  /** Whom to keep for: `*`, the name of a site, or the first characters of an id. */
  readonly standbyFor: readonly string[];
  /** To one gateway; 0: no limit. */
  readonly copyBytesPerSecond: number;
}

/** The archive of this gateway. */
export interface OfferedArchive {
  readonly offer: ArchiveOffer | undefined;
  read(after: LogPosition): Promise<LogRead>;
}

export interface StandbyPorts extends Omit<FinisherPorts, 'log'>, Pick<KeeperPorts, 'whenCommitted'> {
  readonly store: KeeperStore;
  readonly archive: OfferedArchive;
  send(to: GatewayId, frame: Uint8Array): void;
  /** Whether everything that matches the filter may leave this gateway. */
  mayLeave(filter: string): boolean;
  isEvicted(gateway: GatewayId): boolean;
}

export interface FinishAnswer {
  readonly gateway: GatewayId;
  /** Positions of its log. */
  readonly archivedUpTo: LogPosition;
  readonly upTo: LogPosition;
}

/** Names the gateways that something is kept of. */
const NOTE = 'standby';
const EVERY_MS = 1000;
const ID_START_MIN_CHARACTERS = 4;
const NOT_MET =
  'no gateway that is called so was met; or it archives nothing, or lets nothing of that leave (mesh.exportFilters there)';

export class Standby implements ChannelUser {
  readonly #settings: StandbySettings;
  readonly #ports: StandbyPorts;
  readonly #senders = new Map<GatewayId, CopySender>();
  readonly #keepers = new Map<GatewayId, Keeper>();
  readonly #finished = new Map<GatewayId, StandbyStatus>();
  /** Why gateways with a link offer nothing. */
  readonly #withheld = new Map<GatewayId, string>();
  readonly #finishing: Finishing;
  /** What was offered before the start: it is not said again. */
  readonly #early = new Map<GatewayId, Uint8Array>();
  /** What every link was told last. */
  #told = '';
  #isStarted = false;
  #isStopped = false;
  #tickedAt = -Infinity;

  constructor(settings: StandbySettings, ports: StandbyPorts) {
    this.#settings = settings;
    this.#ports = ports;
    const { self, clock, timers, minuteOfDay, logger, store, through, inTurns } = ports;
    this.#finishing = new Finishing(settings, {
      self,
      clock,
      timers,
      minuteOfDay,
      logger,
      through,
      inTurns,
      log: store,
    });
  }

  /** After the store was opened. What is not to be kept any more goes. */
  start(): void {
    const bytes = this.#ports.store.note(NOTE);
    const known = bytes === undefined ? [] : (JSON.parse(Buffer.from(bytes).toString('utf8')) as string[]);
    for (const text of known) {
      const origin = parseGatewayId(text);
      if (origin === undefined) continue;
      const keeper = this.#keeperOf(origin);
      void keeper.open().then(() => this.#opened(keeper));
    }
    this.#isStarted = true;
    for (const [gateway, frame] of this.#early) this.onFrame(gateway, frame);
    this.#early.clear();
  }

  #opened(keeper: Keeper): void {
    const { origin, state, finish } = keeper;
    if (state === undefined) this.#keepers.delete(origin);
    else if (finish === undefined && !this.#isWanted(origin, state.offer)) {
      this.#ports.logger.info('nothing is kept of the archive of another gateway any more', {
        ...{ gateway: origin, reason: 'archive.standbyFor does not name it' },
      });
      this.#drop(keeper);
    } else if (this.#ports.isEvicted(origin)) this.evicted(origin);
  }

  /** For objects that are begun from now on, in the archives of others. See Archive. */
  setKeys(keys: readonly MasterKey[]): void {
    this.#finishing.setKeys(keys);
  }

  // Links.

  linked({ id: gateway }: LinkedGateway): void {
    const { clock, store, archive, send } = this.#ports;
    const sender = new CopySender(
      {
        now: () => clock.now(),
        send: (frame) => send(gateway, frame),
        head: () => store.committed,
        read: (after) => archive.read(after),
      },
      { bytesPerSecond: this.#settings.copyBytesPerSecond },
    );
    this.#senders.set(gateway, sender);
    this.#keepers.get(gateway)?.linkUp();
    const frame = this.#isStarted ? this.#offerFrame() : undefined;
    if (frame !== undefined) send(gateway, frame);
  }

  unlinked(gateway: GatewayId): void {
    this.#senders.get(gateway)?.halt();
    this.#senders.delete(gateway);
    this.#early.delete(gateway);
    this.#withheld.delete(gateway);
    this.#keepers.get(gateway)?.linkDown();
  }

  onFrame(gateway: GatewayId, bytes: Uint8Array): string | undefined {
    const frame = decodeCopyFrame(bytes);
    if (frame === undefined) return 'it sent a frame of the archive that cannot be read';
    const sender = this.#senders.get(gateway);
    if (sender === undefined || this.#isStopped) return undefined;
    if (!this.#isStarted) {
      if (frame.kind === 'offer' || frame.kind === 'withheld')
        this.#early.set(gateway, Uint8Array.from(bytes));
      return undefined;
    }
    switch (frame.kind) {
      case 'want':
        if (this.#withheldBecause() === undefined) sender.wanted(frame.after, frame.maxBytes);
        return undefined;
      case 'ack':
        sender.acknowledged(frame.upTo);
        return undefined;
      case 'offer':
        this.#withheld.delete(gateway);
        if (this.#isWanted(gateway, frame.offer)) this.#meet(gateway);
        break;
      case 'withheld':
        this.#withheld.set(gateway, frame.reason);
        break;
      default:
    }
    return this.#keepers.get(gateway)?.frame(frame);
  }

  /** Something of it is to be kept from now on. */
  #meet(gateway: GatewayId): void {
    if (this.#keepers.has(gateway)) return;
    const keeper = this.#keeperOf(gateway);
    this.#noteKeepers();
    void keeper.open().then(() => this.#opened(keeper));
  }

  #keeperOf(origin: GatewayId): Keeper {
    const { store, logger, whenCommitted, send } = this.#ports;
    const keeper = new Keeper(
      origin,
      { store, logger, whenCommitted, send: (frame) => send(origin, frame) },
      this.#settings,
    );
    this.#keepers.set(origin, keeper);
    if (this.#senders.has(origin)) keeper.linkUp();
    return keeper;
  }

  #drop(keeper: Keeper): void {
    keeper.forget();
    this.#keepers.delete(keeper.origin);
    this.#noteKeepers();
  }

  #noteKeepers(): void {
    const { store } = this.#ports;
    store.setNote(NOTE, Buffer.from(JSON.stringify([...this.#keepers.keys()]), 'utf8'));
    store.recordNote(NOTE);
  }

  #isWanted(gateway: GatewayId, { config }: ArchiveOffer): boolean {
    return this.#settings.standbyFor.some((text) => isCalled(text, gateway, config.site));
  }

  // What this gateway tells.

  #offerFrame(): Uint8Array | undefined {
    const withheld = this.#withheldBecause();
    if (withheld !== undefined) return encodeWithheld(withheld);
    const { offer } = this.#ports.archive;
    return offer && encodeOffer(offer);
  }

  #withheldBecause(): string | undefined {
    const topics = this.#ports.archive.offer?.config.topics ?? [];
    const kept = topics.find((filter) => !this.#ports.mayLeave(filter));
    return kept && `it archives ${kept}, and its mesh.exportFilters do not let all of that leave`;
  }

  // Time.

  /** Some times a second. */
  tick(): void {
    if (!this.#isStarted || this.#isStopped) return;
    for (const sender of this.#senders.values()) sender.tick();
    const now = this.#ports.clock.now();
    if (now - this.#tickedAt < EVERY_MS) return;
    this.#tickedAt = now;
    this.#tell();
    for (const keeper of this.#keepers.values()) keeper.tick();
    this.#goOnFinishing();
  }

  #tell(): void {
    const frame = this.#offerFrame();
    const text = frame === undefined ? '' : Buffer.from(frame).toString('latin1');
    if (frame === undefined || text === this.#told) return;
    this.#told = text;
    for (const gateway of this.#senders.keys()) this.#ports.send(gateway, frame);
  }

  // Finishing.

  evicted(gateway: GatewayId): void {
    const keeper = this.#keepers.get(gateway);
    if (keeper?.state === undefined || keeper.finish !== undefined) return;
    this.#begin(keeper, false);
  }

  /**
   * @param name of the gateway, as in `standbyFor`
   * @param tellsRest what is known of, and not kept here, is told as lost: for a gateway that never comes back
   * @returns why not, as text
   */
  finish(name: string, tellsRest: boolean): FinishAnswer | string {
    const called = [...this.#keepers.values()].filter(
      ({ origin, state }) => state !== undefined && isCalled(name, origin, state.offer.config.site),
    );
    const [keeper, second] = called;
    if (keeper?.state === undefined)
      return 'nothing is kept here of the archive of such a gateway: archive.standbyFor says whom to keep for, and sprawl-edge archive status what is kept';
    if (second !== undefined)
      return `several gateways are called so: ${called.map(({ origin }) => shortId(origin)).join(', ')}; take more of the id`;
    if (keeper.isLinked)
      return `${shortId(keeper.origin)} is linked, and archives what it took in by itself: stop it, or evict it where it is not to come back`;
    const { state, origin } = keeper;
    this.#begin(keeper, tellsRest);
    const { after: archivedUpTo, upTo, head } = state;
    return { gateway: origin, archivedUpTo, upTo: tellsRest ? head : upTo };
  }

  #begin(keeper: Keeper, tellsRest: boolean): void {
    const { origin, state } = keeper;
    keeper.beginFinish({ tellsRest });
    this.#ports.logger.info('the archive of another gateway is to be finished from here', {
      ...{ gateway: origin, from: (state?.after ?? 0) + 1, to: state?.upTo, tellsRest },
    });
    if (this.#isStarted) this.#goOnFinishing();
  }

  #goOnFinishing(): void {
    const keeper = this.#finishing.tick(this.#keepers.values());
    if (keeper?.state === undefined) return;
    const { origin, offered, state } = keeper;
    const rows = this.#finishing.rowsOf(origin);
    this.#ports.logger.info('the archive of another gateway is finished as far as it is known here', {
      ...{ gateway: origin, upTo: state.upTo, rows },
    });
    this.#finished.set(origin, statusOfFinished(keeper, this.#finishing, this.#settings.maxBytes));
    this.#drop(keeper);
    // It is back, and does not say it again.
    if (offered !== undefined) this.onFrame(origin, encodeOffer(offered));
  }

  /** Resolves when nothing goes on any more. What was begun is gone on with after the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#finishing.stop();
  }

  status(): readonly StandbyStatus[] {
    const { maxBytes, standbyFor } = this.#settings;
    const isNamed = (gateway: string, site: string): boolean =>
      standbyFor.some((text) => isCalled(text, gateway, site));
    const all = [...this.#keepers.values()].map((keeper) =>
      statusOfKeeper(keeper, this.#finishing, maxBytes),
    );
    for (const one of this.#finished.values()) if (!this.#isKept(one.gateway)) all.push(one);
    for (const [gateway, reason] of this.#withheld)
      if (!this.#isKept(gateway) && isNamed(gateway, ''))
        all.push(statusOfMissing(gateway, reason, maxBytes));
    for (const text of standbyFor)
      if (text !== '*' && !all.some(({ gateway, site }) => isCalled(text, gateway, site)))
        all.push(statusOfMissing(text, NOT_MET, maxBytes));
    return all;
  }

  #isKept(gateway: string): boolean {
    const origin = parseGatewayId(gateway);
    return origin !== undefined && this.#keepers.has(origin);
  }
}

function isCalled(text: string, gateway: string, site: string): boolean {
  return (
    text === '*' ||
    text === site ||
    (text.length >= ID_START_MIN_CHARACTERS && gateway.startsWith(text.toLowerCase()))
  );
}
