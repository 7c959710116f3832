import type { ArchivesStatus } from '../contracts/archive-status.js';
import type { MeshStatus } from '../contracts/mesh-status.js';
import { FLASH_CYCLES, type FlashLife, flashLife } from './flash-life.js';
import type { GatewayView } from './gauges.js';
import { type MeshSummary, meshSummaryOf } from './mesh-summary.js';

/** A start writes more than what follows: before both, figures that go by it mean nothing. */
const FLASH_TELLS_AFTER_S = 600;
const PAYLOAD_TELLS_AFTER_BYTES = 1_048_576;

/** What `GET /status` answers and `sprawl-edge status` prints. Fields may be added. */
export interface GatewayStatus {
  readonly version: string;
  readonly ready: boolean;
  /** Why it is not. */
  readonly reasons: readonly string[];
  readonly uptimeS: number;
  readonly clients: { readonly connected: number; readonly sessions: number; readonly subscriptions: number };
  readonly messages: {
    readonly queued: number;
    readonly queuedBytes: number;
    readonly inflight: number;
    readonly retained: number;
  };
  readonly memory: { readonly usedBytes: number; readonly maxBytes: number; readonly rssBytes: number };
  readonly storage: {
    readonly level: string;
    readonly logBytes: number;
    readonly logMaxBytes: number;
    readonly freeBytes: number;
    readonly segments: number;
    readonly lostPositions: number;
    readonly writtenBytes: number;
    readonly payloadBytes: number;
    /** Bytes written to the device for each byte of payload; null: not enough was stored yet to tell, or it is not known. */
    readonly writtenPerPayloadByte: number | null;
  };
  readonly flash: {
    /** null: too early to say. */
    readonly bytesPerDay: number | null;
    /** An order of magnitude; null: not known, or too early to say. */
    readonly years: number | null;
    /** Writes of each cell that it assumes. */
    readonly cycles: number;
  };
  /** null: the gateway is in none. */
  readonly mesh: MeshSummary | null;
  /** null: the gateway archives nothing. */
  readonly archive: ArchivesStatus | null;
}

/** @param diskBytes size of the file system of the data folder; Infinity: unknown. @param mesh of a gateway in one */
export function statusOf(
  view: GatewayView,
  readiness: { readonly ready: boolean; readonly reasons: readonly string[] },
  diskBytes: number,
  mesh?: MeshStatus,
  archive?: ArchivesStatus,
): GatewayStatus {
  // Without /proc what was handed to the file system is the better part of it.
  const written = view.deviceWrittenBytes > 0 ? view.deviceWrittenBytes : view.storageWrittenBytes;
  const life: FlashLife = flashLife(written, view.uptimeS, diskBytes);
  const { storagePayloadBytes } = view;
  const isEarly = view.uptimeS < FLASH_TELLS_AFTER_S;
  const isLittle = isEarly || storagePayloadBytes < PAYLOAD_TELLS_AFTER_BYTES;
  return {
    version: view.version,
    ...readiness,
    uptimeS: Math.round(view.uptimeS),
    clients: {
      connected: view.clientsConnected,
      sessions: view.clientsTotal,
      subscriptions: view.subscriptions,
    },
    messages: {
      queued: view.queuedMessages,
      queuedBytes: view.queuedBytes,
      inflight: view.inflight,
      retained: view.retainedCount,
    },
    memory: { usedBytes: view.memoryUsedBytes, maxBytes: view.memoryMaxBytes, rssBytes: view.rssBytes },
    storage: {
      level: view.storageLevel,
      logBytes: view.storageLogBytes,
      logMaxBytes: view.storageLogMaxBytes,
      freeBytes: view.storageFreeBytes,
      segments: view.storageSegments,
      lostPositions: view.storageLostPositions,
      writtenBytes: view.storageWrittenBytes,
      payloadBytes: storagePayloadBytes,
      writtenPerPayloadByte: isLittle || written === 0 ? null : written / storagePayloadBytes,
    },
    flash: {
      bytesPerDay: isEarly ? null : Math.round(life.bytesPerDay),
      years: isEarly ? null : (life.years ?? null),
      cycles: FLASH_CYCLES,
    },
    mesh: mesh === undefined ? null : meshSummaryOf(mesh),
    archive: archive ?? null,
  };
}
