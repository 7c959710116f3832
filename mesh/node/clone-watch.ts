/** What members tell each other of two live processes with one key: a copied data folder. Each report is passed on once. */
import type { Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import {
  cloneReportKey,
  cloneText,
  isProven,
  judgeCloneReport,
  readCloneReport,
  type SignedCloneReport,
  writeCloneReport,
} from '../identity/clone-report.js';
import { epochText } from '../identity/lineage.js';
import { ByteReader, ByteWriter } from '../wire/bytes.js';
import type { Peer } from './peer.js';

const ADDRESS_MAX_BYTES = 128;
const REPORTS_MAX_COUNT = 1024;
const REPORTS_PER_GATEWAY_MAX_COUNT = 16;

export interface CloneWatchPorts {
  readonly self: GatewayId;
  readonly logger: Logger;
  /** Of this gateway. */
  readonly lineage: { readonly all: Lineage; readonly ofThisProcess: Lineage };
  passOn(frame: Uint8Array, from: Peer | undefined): void;
  /** This gateway is one of the two: it takes part no more. */
  isClone(reason: string): void;
}

export class CloneWatch {
  readonly #ports: CloneWatchPorts;
  readonly #reported = new Set<string>();

  constructor(ports: CloneWatchPorts) {
    this.#ports = ports;
  }

  /** @throws MalformedFrame */
  told(frame: Uint8Array, from: Peer): void {
    const reader = new ByteReader(frame);
    const report = readCloneReport(reader);
    this.heard(report, reader.text(ADDRESS_MAX_BYTES), from);
  }

  /** @param address of the second one @param from undefined: it was seen here */
  heard(report: SignedCloneReport, address: string, from?: Peer): void {
    const key = cloneReportKey(report);
    if (this.#reported.has(key) || !this.#mayReport(report.id) || !isProven(report)) return;
    this.#reported.add(key);
    const { self, logger, lineage, passOn, isClone } = this.#ports;
    const writer = new ByteWriter(128);
    writeCloneReport(writer, report);
    passOn(writer.text(address).finish(), from);
    switch (judgeCloneReport(report, self, lineage.all, lineage.ofThisProcess)) {
      case 'clone':
        isClone(cloneText(report, address));
        break;
      case 'other':
        logger.error('two machines use the identity of one gateway: its data folder was copied', {
          ...{ gateway: report.id, address },
          starts: report.epochs.map(epochText).join(' and '),
        });
        break;
      case 'stale':
        break;
    }
  }

  /** Whoever has a key may sign as many lives with it as he likes: those of others are heard of all the same. */
  #mayReport(id: GatewayId): boolean {
    if (this.#reported.size >= REPORTS_MAX_COUNT) return false;
    let count = 0;
    for (const key of this.#reported) if (key.startsWith(id)) count++;
    return count < REPORTS_PER_GATEWAY_MAX_COUNT;
  }
}
