import type { Epoch } from '../../../../lib/contracts/epoch.js';
import { type GatewayId, gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import {
  type Body,
  decodeMessage,
  encodeMessage,
  encodeRecord,
  type Member,
  Membership,
  type MembershipMessage,
  type MembershipOptions,
  type MemberRecord,
  type Metadata,
} from '../../../../mesh/membership/index.js';
import { Random } from '../../../sim/random.js';

export function gateway(n: number): GatewayId {
  return gatewayIdOf(new Uint8Array(32).fill(n));
}

export function epoch(counter: number, nonce = '00000000000000aa'): Epoch {
  return { counter, nonce };
}

export function metadata(version: number, more: Partial<Metadata> = {}): Metadata {
  return {
    version,
    site: 'roof',
    addresses: ['10.0.0.1:4430'],
    software: '0.1.0',
    load: 0,
    health: [],
    ...more,
  };
}

export function record(n: number, more: Partial<MemberRecord> = {}): MemberRecord {
  return {
    id: gateway(n),
    epoch: epoch(1),
    incarnation: 0,
    status: 'alive',
    accuser: undefined,
    evidence: 'silent',
    metadata: metadata(1),
    ...more,
  };
}

interface Sent {
  readonly to: GatewayId;
  readonly message: MembershipMessage;
}

/** Gateway 1, alone with a clock that is moved by hand. */
export class Rig {
  at = 1000;
  readonly datagrams: Sent[] = [];
  readonly frames: Sent[] = [];
  readonly changes: { member: Member; before: Member | undefined }[] = [];
  readonly conflicts: { id: GatewayId; known: Epoch; told: Epoch }[] = [];
  readonly core: Membership;

  constructor(options: Partial<MembershipOptions> = {}) {
    const random = new Random(1, 'rig');
    const take = (to: GatewayId, bytes: Uint8Array): Sent[] => {
      const message = decodeMessage(bytes);
      return message === undefined ? [] : [{ to, message }];
    };
    this.core = new Membership(
      { id: gateway(1), epoch: epoch(5), site: 'cellar', addresses: ['10.0.0.9:4430'], software: '0.1.0' },
      {
        clock: { now: () => this.at },
        random: () => random.float(),
        sendDatagram: (to, bytes) => this.datagrams.push(...take(to, bytes)),
        pushFrame: (to, bytes) => this.frames.push(...take(to, bytes)),
        onChange: (member, before) => this.changes.push({ member, before }),
        onConflict: (id, known, told) => this.conflicts.push({ id, known, told }),
      },
      options,
    );
  }

  /** Every deadline is met. */
  run(ms: number): void {
    const end = this.at + ms;
    for (let next = this.core.nextDeadlineMs; next <= end; next = this.core.nextDeadlineMs) {
      this.at = Math.max(this.at, next);
      this.core.tick(this.at);
    }
    this.at = end;
  }

  frame(from: number, records: readonly MemberRecord[], body: Body = { kind: 'push' }): void {
    this.core.onFrame(gateway(from), encodeMessage(body, records.map(encodeRecord)));
  }

  datagram(from: number, body: Body, records: readonly MemberRecord[] = []): void {
    this.core.onDatagram(gateway(from), encodeMessage(body, records.map(encodeRecord)));
  }

  /** Links to these, and they are known; what was sent for it is forgotten. */
  meet(...others: readonly number[]): void {
    for (const n of others) {
      this.core.linkUp(gateway(n));
      this.frame(n, [record(n)]);
    }
    this.run(30);
    this.forgetSent();
  }

  /** All pings are answered, and time goes on. */
  runAnswered(ms: number, silent: readonly number[] = []): void {
    const end = this.at + ms;
    while (this.at < end) {
      this.run(Math.min(20, end - this.at));
      for (const { to, message } of this.datagrams.splice(0))
        if (message.body.kind === 'ping' && !silent.some((n) => gateway(n) === to))
          this.core.onDatagram(
            to,
            encodeMessage({ kind: 'ack', sequence: message.body.sequence, view: this.core.view }),
          );
    }
  }

  forgetSent(): void {
    this.datagrams.length = 0;
    this.frames.length = 0;
    this.changes.length = 0;
  }

  /** What was told of it on links. */
  told(n: number): { to: GatewayId; record: MemberRecord }[] {
    return this.frames.flatMap(({ to, message }) =>
      message.records.filter(({ id }) => id === gateway(n)).map((each) => ({ to, record: each })),
    );
  }

  status(n: number): string | undefined {
    return this.core.get(gateway(n))?.status;
  }
}
