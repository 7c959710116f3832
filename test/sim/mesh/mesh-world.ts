/** Gateways, the network between them, and clients at each. A seed makes one history. */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { EventBody, Mid } from '../../history/event.js';
import { MemoryHistory } from '../../history/history-writer.js';
import { CrashClient } from '../crash-client.js';
import type { CrashClientProfile } from '../crash-plan.js';
import { Random } from '../random.js';
import { allTurns, Scheduler } from '../scheduler.js';
import { InvariantViolation } from '../violation.js';
import { MeshGateway } from './mesh-gateway.js';
import type { MeshPlan } from './mesh-plan.js';
import { MeshSituations } from './mesh-situations.js';
import { MeshNetwork } from './network.js';

export interface SiteClient {
  readonly client: CrashClient;
  readonly gateway: MeshGateway;
  /** The gateway lost its session with a rollback: it begins anew. */
  mustForget: boolean;
  /** It asked for that; the answer may be lost, or the question. */
  isForgetting: boolean;
}

export class MeshWorld {
  readonly scheduler = new Scheduler(allTurns);
  readonly run: string;
  readonly history: MemoryHistory;
  readonly situations = new MeshSituations();
  readonly network: MeshNetwork;
  readonly gateways: MeshGateway[];
  readonly clients: SiteClient[] = [];
  isHealing = false;
  /** Somebody's disk was put back: holes have to be told of. */
  mayLose = false;
  violation: InvariantViolation | undefined;
  trace: ((line: string) => void) | undefined;
  #clientCount = 0;
  readonly #byId = new Map<GatewayId, MeshGateway>();

  constructor(
    readonly seed: number,
    readonly plan: MeshPlan,
  ) {
    this.run = `mesh ${seed}`;
    this.history = new MemoryHistory(this.run, () => BigInt(Math.round(this.scheduler.now() * 1e6)));
    this.network = new MeshNetwork(this.scheduler, this.random('network'), plan.network);
    this.gateways = Array.from({ length: plan.gateways }, (_, n) => new MeshGateway(this, n + 1));
    for (const gateway of this.gateways) this.#byId.set(gateway.id, gateway);
    for (const { site, ...profile } of plan.clients) {
      const gateway = this.gateways[site];
      if (gateway !== undefined) this.addClient(gateway, profile);
    }
  }

  random(stream: string): Random {
    return new Random(this.seed, stream);
  }

  addClient(gateway: MeshGateway, profile: CrashClientProfile): SiteClient {
    const client = new CrashClient(gateway, profile, this.#clientCount++);
    const one = { client, gateway, mustForget: false, isForgetting: false };
    this.clients.push(one);
    return one;
  }

  gatewayOf(id: GatewayId): MeshGateway | undefined {
    return this.#byId.get(id);
  }

  /** The first violation counts; the run stops after the step. */
  readonly fail = (invariant: string, text: string): void => {
    this.violation ??= new InvariantViolation(
      invariant,
      `${text} (at ${this.scheduler.now().toFixed(1)} ms)`,
    );
  };

  write(actor: string, body: EventBody): void {
    this.history.write(actor, body);
    this.log(`${actor} ${JSON.stringify(body)}`);
  }

  log(text: string): void {
    this.trace?.(`${this.scheduler.now().toFixed(2)} ${text}`);
  }

  /** A gateway has something to say. */
  said(_gateway: MeshGateway, _text: string): void {}

  /**
   * Whether the message was lost with a rollback of its origin before the gateway of the client had it; or is a retained one that
   * came behind a newer one of another gateway.
   */
  isExcused(cid: string, mid: Mid): boolean {
    const home = this.clients.find(({ client }) => client.profile.id === cid)?.gateway;
    if (home?.ledger.wasOvertaken(mid) === true) {
      this.situations.saw('retained message overtaken by a newer one');
      return true;
    }
    const origin = this.gateways.find(({ ledger }) => ledger.isLost(mid));
    if (origin === undefined) return false;
    if (home !== undefined && home !== origin && home.ledger.has(mid)) return false;
    this.situations.saw('acknowledged message lost with a rollback');
    return true;
  }

  mayComeTwice(mid: Mid): boolean {
    return this.gateways.some(({ ledger }) => ledger.wasTakenTwice(mid));
  }
}
