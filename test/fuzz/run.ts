/** One run: attackers and bystanders at one gateway, in two halves with silence after each, so that growth can be told from work. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Attacker, STAGES } from './attacker.js';
import { Bystanders } from './bystanders.js';
import { Deck } from './deck.js';
import { GatewayHost, type GatewayState } from './gateway-host.js';
import { Random } from './random.js';
import { Recorder } from './record.js';
import { Tally } from './tally.js';

export interface FuzzOptions {
  readonly seed: number;
  /** How long to attack; silence comes on top, and with `whole` what it takes until every card was played. */
  readonly seconds: number;
  /** Whether every packet has to be wrong in every way and version; if not, every packet and every way have to occur. */
  readonly whole: boolean;
}

export interface FuzzReport {
  readonly seed: number;
  readonly seconds: number;
  readonly tally: Tally;
  /** Checked deliveries to bystanders. */
  readonly delivered: number;
  readonly states: readonly GatewayState[];
  /** Empty when all is well. */
  readonly faults: readonly string[];
  /** Where what was sent last is written down; where there are faults. */
  readonly caseFile: string | undefined;
}

const ATTACKERS = 32;
const STORM_PROBABILITY = 0.005;
const SETTLE_TIMEOUT_MS = 15_000;
const SILENCE_TIMEOUT_MS = 8000;
/** Beyond the time that was asked for, until every card was played. */
const OVERTIME_FACTOR = 6;
const OVERTIME_MIN_S = 30;
const FAULTS_MAX_COUNT = 20;
const MIB = 1024 * 1024;
/** What the second half may add: caches fill up and code is compiled; a leak of one object a packet is more. */
const GROWTH = { heapBytes: 6 * MIB, bufferBytes: 8 * MIB, rssBytes: 64 * MIB };

class Run {
  readonly #options: FuzzOptions;
  readonly #recorder = new Recorder();
  readonly #tally = new Tally();
  readonly #faults: string[] = [];
  readonly #states: GatewayState[] = [];
  readonly #startedAt = performance.now();
  #caseFile: string | undefined;

  constructor(options: FuzzOptions) {
    this.#options = options;
  }

  async run(): Promise<FuzzReport> {
    const { seed } = this.#options;
    const onFault = (fault: string): void => this.#fault(fault);
    const gateway = await GatewayHost.start(onFault);
    const bystanders = await Bystanders.connect(gateway.port, new Random(seed ^ 0x5eed), onFault);
    try {
      const deck = new Deck(new Random(seed));
      await this.#half(gateway, bystanders, deck, 1);
      await this.#half(gateway, bystanders, deck, 2);
      if (this.#faults.length === 0) {
        for (const name of this.#never(deck)) this.#fault(`never played: ${name}`);
        this.#compare();
      }
    } catch (error) {
      this.#fault(error instanceof Error ? (error.stack ?? error.message) : String(error));
    } finally {
      try {
        if (gateway.alive) await bystanders.leave();
      } finally {
        await gateway.stop();
      }
    }
    return {
      seed,
      seconds: (performance.now() - this.#startedAt) / 1000,
      tally: this.#tally,
      delivered: bystanders.ledger.arrived,
      states: this.#states,
      faults: this.#faults,
      caseFile: this.#caseFile,
    };
  }

  #fault(text: string): void {
    if (this.#caseFile === undefined) {
      this.#caseFile = join(tmpdir(), `sprawl-fuzz-${this.#options.seed}.jsonl`);
      this.#recorder.save(this.#caseFile);
    }
    if (this.#faults.length < FAULTS_MAX_COUNT) this.#faults.push(text);
  }

  #never(deck: Deck): string[] {
    return this.#tally.never(deck.cards, STAGES, this.#options.whole);
  }

  async #half(gateway: GatewayHost, bystanders: Bystanders, deck: Deck, half: 1 | 2): Promise<void> {
    if (this.#faults.length > 0) return;
    bystanders.publish();
    const now = performance.now();
    const until = now + (this.#options.seconds * 1000) / 2;
    const latest = now + Math.max(OVERTIME_MIN_S, this.#options.seconds * OVERTIME_FACTOR) * 1000;
    const random = new Random(this.#options.seed + half * 7919);
    const attackers = Array.from({ length: ATTACKERS }, () => new Random(random.int(2 ** 32))).map((own) =>
      this.#attack(gateway, deck, own, () => {
        const time = performance.now();
        const unplayed = half === 2 && this.#never(deck).length > 0;
        return time < until || (unplayed && time < latest);
      }),
    );
    await Promise.all(attackers);
    for (const owed of await bystanders.settle(SETTLE_TIMEOUT_MS)) this.#fault(owed);
    await this.#silence(gateway, bystanders);
  }

  async #attack(gateway: GatewayHost, deck: Deck, random: Random, goOn: () => boolean): Promise<void> {
    const { port } = gateway;
    const onFault = (fault: string): void => this.#fault(fault);
    const attacker = new Attacker({
      port,
      deck,
      random,
      recorder: this.#recorder,
      tally: this.#tally,
      onFault,
    });
    while (goOn() && this.#faults.length === 0) {
      if (random.chance(STORM_PROBABILITY)) await attacker.storm();
      else await attacker.play(deck.deal());
    }
  }

  /** Nothing of the attackers is left, and the books balance. */
  async #silence(gateway: GatewayHost, bystanders: Bystanders): Promise<void> {
    const deadline = performance.now() + SILENCE_TIMEOUT_MS;
    let state = await gateway.state();
    while (leftovers(state, bystanders).length > 0 && performance.now() < deadline) {
      await delay(100);
      state = await gateway.state();
    }
    this.#states.push(state);
    for (const text of leftovers(state, bystanders)) this.#fault(`left behind: ${text}`);
    for (const text of imbalances(state, this.#tally.connections + bystanders.count)) this.#fault(text);
  }

  #compare(): void {
    const [first, second] = this.#states;
    if (first === undefined || second === undefined) return;
    for (const key of ['heapBytes', 'bufferBytes', 'rssBytes'] as const) {
      const grown = second[key] - first[key];
      if (grown > GROWTH[key]) this.#fault(`${key} grew by ${grown}, beyond ${GROWTH[key]}`);
    }
  }
}

/** Everything that should be as it was before the first attacker came. */
function leftovers(state: GatewayState, bystanders: Bystanders): string[] {
  const expected = {
    connections: bystanders.count,
    sessions: bystanders.count,
    subscriptions: bystanders.subscriptions,
    budgetUsedBytes: 0,
    pendingWills: 0,
    timers: 0,
  };
  return Object.entries(expected)
    .map(([name, value]) => ({
      name,
      value,
      found: Object.entries(state).find(([key]) => key === name)?.[1],
    }))
    .filter(({ value, found }) => found !== value)
    .map(({ name, value, found }) => `${name} is ${String(found)}, not ${value}`);
}

function imbalances({ counters, connections }: GatewayState, opened: number): string[] {
  const sum = (prefix: string): number =>
    Object.entries(counters)
      .filter(([name]) => name.startsWith(prefix))
      .reduce((total, [, value]) => total + value, 0);
  const { connectionsAccepted = 0, receivedConnect = 0, sentPuback = 0, messagesReceivedQoS1 = 0 } = counters;
  const refused = sum('connectionRefused');
  const checks: [boolean, string][] = [
    [
      connectionsAccepted === sum('disconnected') + connections,
      `${connectionsAccepted} accepted, ${sum('disconnected')} ended, ${connections} open`,
    ],
    [
      opened === connectionsAccepted + refused,
      `${opened} opened, ${connectionsAccepted} accepted, ${refused} refused`,
    ],
    [connectionsAccepted <= receivedConnect, `${connectionsAccepted} accepted of ${receivedConnect} CONNECT`],
    [
      sentPuback <= messagesReceivedQoS1,
      `${sentPuback} PUBACK for ${messagesReceivedQoS1} messages of QoS 1`,
    ],
    [Object.values(counters).every((value) => value >= 0), 'a counter is below 0'],
  ];
  return checks.filter(([holds]) => !holds).map(([, text]) => `counters disagree: ${text}`);
}

export function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  return new Run(options).run();
}
