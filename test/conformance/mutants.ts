/**
 * The conformance tests put to the test: statements of docs/conformance.md, each with a deliberate break of the gateway that a
 * test of its row has to notice. `npm run mutants` makes the breaks, one at a time, in a copy; `mutants.test.ts` keeps the
 * table in step with sources, titles and page.
 *
 * The statements are drawn (see `draw`). Some have more than one break: of each test of their row, or one that a test did not
 * notice when it was first made. Tests begin with 3.1.1, so the breaks of MQTT 5 leave its clients alone where they can.
 *
 * Over 400 lines: one table.
 */
import { createHash } from 'node:crypto';

export const EDITIONS = ['3.1.1', '5'] as const;
export type Edition = (typeof EDITIONS)[number];

export const SEED = 'sprawl-edge';
export const DRAWN_PER_EDITION = 15;

/** The first rows in the order of SHA-256 of seed, edition and id: everybody draws the same. */
export function draw(edition: Edition, ids: readonly string[]): string[] {
  const key = (id: string): string => createHash('sha256').update(`${SEED} ${edition} ${id}`).digest('hex');
  return ids.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)).slice(0, DRAWN_PER_EDITION);
}

export interface Edit {
  /** From the project's folder. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly search: string;
  readonly replace: string;
}

export interface Mutant {
  readonly edition: Edition;
  readonly statement: string;
  /** What the gateway does wrong. */
  readonly breaks: string;
  /** The test of the row that has to fail: its file and its sentence. */
  readonly test: readonly [file: string, sentence: string];
  /** More than one where the gateway holds a statement in two places. */
  readonly edits: readonly Edit[];
}

const inSession = (search: string, replace: string): Edit => ({
  file: 'lib/session/session.ts',
  search,
  replace,
});
const inSubscriptions = (search: string, replace: string): Edit => ({
  file: 'lib/session/subscription-set.ts',
  search,
  replace,
});
const inConnection = (search: string, replace: string): Edit => ({
  file: 'lib/connection/connection.ts',
  search,
  replace,
});
const inAdmission = (search: string, replace: string): Edit => ({
  file: 'lib/connection/admission.ts',
  search,
  replace,
});
const inOutbound = (search: string, replace: string): Edit => ({
  file: 'lib/delivery/outbound.ts',
  search,
  replace,
});
const inTransmitter = (search: string, replace: string): Edit => ({
  file: 'lib/delivery/transmitter.ts',
  search,
  replace,
});
const inIngest = (search: string, replace: string): Edit => ({
  file: 'lib/ingest/ingest.ts',
  search,
  replace,
});
const inConnect = (search: string, replace: string): Edit => ({
  file: 'lib/protocol/decode-connect.ts',
  search,
  replace,
});

const OF_3_1_1: readonly Omit<Mutant, 'edition'>[] = [
  {
    statement: 'MQTT-3.14.4-3',
    breaks: 'DISCONNECT leaves the will in place',
    test: ['will.test.ts', 'DISCONNECT discards the will'],
    edits: [inSession('if (discardWill) this.#will = undefined;', 'void discardWill;')],
  },
  {
    statement: 'MQTT-3.10.4-1',
    breaks: 'UNSUBSCRIBE finds a filter whatever its case',
    test: ['subscribe.test.ts', 'UNSUBSCRIBE removes exactly the named filters'],
    edits: [
      inSubscriptions(
        '  remove(filter: string): boolean {\n',
        `  remove(named: string): boolean {
    const filter =
      [...this.#byFilter.keys()].find((key) => key.toLowerCase() === named.toLowerCase()) ?? named;
`,
      ),
    ],
  },
  {
    statement: 'MQTT-3.1.2-22',
    breaks: 'a password without a user name is accepted',
    test: ['connect.test.ts', 'a password without a user name is refused; MQTT 5 allows it'],
    edits: [
      inConnect(
        'if (version < 5 && (flags & ConnectFlag.password)',
        'if (version < 3 && (flags & ConnectFlag.password)',
      ),
    ],
  },
  {
    statement: 'MQTT-3.2.2-3',
    breaks: 'Clean Session 0 is answered with Session Present 1 where there was none',
    test: ['session.test.ts', 'a session is created, then resumed, and Session Present tells'],
    edits: [
      {
        file: 'lib/session/registry.ts',
        search: 'this.#promise(claimant, session, false,',
        replace: 'this.#promise(claimant, session, !claimant.cleanStart,',
      },
    ],
  },
  {
    statement: 'MQTT-3.1.2-5',
    breaks: 'QoS 1 messages for a client that is away are dropped',
    test: [
      'session.test.ts',
      'QoS 1 and 2 messages wait for a session without a connection, each QoS in order',
    ],
    edits: [
      inOutbound(
        '    this.#waiting().push(message, flags, identifiers);',
        '    if (transmitter !== undefined || (flags & 3) !== 1) this.#waiting().push(message, flags, identifiers);',
      ),
    ],
  },
  {
    statement: 'MQTT-3.1.2-17',
    breaks: 'a will with Will Retain is published as not retained',
    test: ['will.test.ts', 'a will is retained if it asked to be, and only then'],
    edits: [inSession('retain: will.retain,', 'retain: false,')],
  },
  {
    statement: 'MQTT-3.9.3-1',
    breaks: 'SUBACK has its codes in reverse',
    test: [
      'subscribe.test.ts',
      'one SUBACK answers all filters of a SUBSCRIBE, in order, with its packet id',
    ],
    edits: [
      inSubscriptions(
        'answer(verdicts.map((verdict) => verdict.code));',
        'answer(verdicts.map((verdict) => verdict.code).reverse());',
      ),
    ],
  },
  {
    statement: 'MQTT-3.9.3-1',
    breaks: 'SUBACK has the codes of refused filters behind all others',
    test: [
      'credentials.test.ts',
      'a subscription without permission is refused in its place or brings nothing',
    ],
    edits: [
      inSubscriptions(
        'answer(verdicts.map((verdict) => verdict.code));',
        'answer([true, false].flatMap((granted) => verdicts.filter(({ code }) => code < 0x80 === granted).map(({ code }) => code)));',
      ),
    ],
  },
  {
    statement: 'MQTT-3.3.1-9',
    breaks: 'an established subscription gets the RETAIN of the publisher',
    test: ['retain.test.ts', 'an established subscription gets RETAIN 0'],
    edits: [
      inOutbound(
        'const retain = message.retain && keepRetain;',
        'const retain = message.retain && (keepRetain || message.retain);',
      ),
    ],
  },
  {
    statement: 'MQTT-4.6.0-2',
    breaks: 'the PUBACK of an even packet id comes a turn later',
    test: ['publish.test.ts', 'acknowledgements come in the order of the publishes'],
    edits: [
      inIngest(
        'writeAck(link, header, packetId, nobody ? ReasonCode.noMatchingSubscribers : 0);',
        `const write = (): void => writeAck(link, header, packetId, nobody ? ReasonCode.noMatchingSubscribers : 0);
    if (header === PUBACK && packetId % 2 === 0) setImmediate(write);
    else write();`,
      ),
    ],
  },
  {
    statement: 'MQTT-4.6.0-5',
    breaks: 'the newest message leaves the queue first',
    test: ['delivery.test.ts', 'messages of one publisher and topic keep their order'],
    edits: [
      {
        file: 'storage/queue/disk-queue.ts',
        search: '      this.#head.push(posting);\n      return;\n',
        replace: '      this.#head.splice(this.#headAt, 0, posting);\n      return;\n',
      },
    ],
  },
  {
    statement: 'MQTT-6.0.0-1',
    breaks: 'a text frame is read like a binary one',
    test: ['websocket.test.ts', 'MQTT runs in binary frames, and a text frame ends the connection'],
    edits: [
      {
        file: 'lib/connection/websocket-transport.ts',
        search: `        this.#error = new Error('a WebSocket text frame; MQTT uses binary frames');
        socket.close(UNSUPPORTED_DATA, 'binary frames only');`,
        replace: '        void UNSUPPORTED_DATA;\n        if (Buffer.isBuffer(data)) handler.data(data);',
      },
    ],
  },
  {
    statement: 'MQTT-3.1.0-1',
    breaks: 'what comes before CONNECT is skipped',
    test: ['connect.test.ts', 'whatever comes before CONNECT ends the connection without an answer'],
    edits: [
      inAdmission(
        'if (type === PacketType.connect) this.#versionAsked =',
        'if (first !== 0x10) return;\n      if (type === PacketType.connect) this.#versionAsked =',
      ),
    ],
  },
  {
    statement: 'MQTT-6.0.0-4',
    breaks: 'the server picks the first subprotocol that is offered',
    test: ['websocket.test.ts', 'the server picks the subprotocol mqtt'],
    edits: [
      {
        file: 'lib/listeners.ts',
        search: "offered.has('mqtt') ? 'mqtt' :",
        replace: "offered.size > 0 ? ([...offered][0] ?? 'mqtt') :",
      },
    ],
  },
  {
    statement: 'MQTT-3.3.1-11',
    breaks: 'an empty message is stored as retained',
    test: ['retain.test.ts', 'an empty retained message is delivered and removes what was retained'],
    edits: [inIngest('retention.clear(message);\n      return;', 'retention.keep(message);\n      return;')],
  },
  {
    statement: 'MQTT-3.1.2-12',
    breaks: 'a client without a will gets one',
    test: ['will.test.ts', 'a connection without a will publishes none'],
    edits: [
      inAdmission(
        'return this.#connection.connect?.will;',
        `return (
      this.#connection.connect?.will ?? {
        topic: 'wills/unasked',
        payload: new Uint8Array(1),
        qos: 0,
        retain: false,
        properties: {},
      }
    );`,
      ),
    ],
  },
];

const OF_5: readonly Omit<Mutant, 'edition'>[] = [
  {
    statement: 'MQTT-3.1.4-5',
    breaks: 'a valid CONNECT is answered with 0x97 and goes on',
    test: ['connect.test.ts', 'packets sent right behind CONNECT are answered after CONNACK, in their order'],
    edits: [
      inAdmission(
        'sessionPresent: this.#present,\n      reasonCode: ReasonCode.success,',
        'sessionPresent: this.#present && connect.version < 5,\n      reasonCode: connect.version < 5 ? ReasonCode.success : ReasonCode.quotaExceeded,',
      ),
    ],
  },
  {
    statement: 'MQTT-3.10.4-1',
    breaks: 'UNSUBSCRIBE also removes what is narrower than the named filter',
    test: ['subscribe.test.ts', 'UNSUBSCRIBE removes exactly the named filters'],
    edits: [
      inSubscriptions(
        'const codes = packet.filters.map(',
        `for (const filter of packet.filters) {
        const stem = this.#session.link?.version === 5 ? filter.replace(/[+#]$/, '') : filter;
        for (const key of [...this.#byFilter.keys()])
          if (key !== filter && stem !== filter && key.startsWith(stem)) this.remove(key);
      }
      const codes = packet.filters.map(`,
      ),
    ],
  },
  {
    statement: 'MQTT-3.10.4-1',
    breaks: 'UNSUBSCRIBE from a filter also leaves the groups that share it',
    test: ['shared.test.ts', 'UNSUBSCRIBE with the whole shared filter leaves the group'],
    edits: [
      inSubscriptions(
        'const codes = packet.filters.map(',
        `for (const filter of packet.filters)
        for (const key of [...this.#byFilter.keys()])
          if (key !== filter && key.replace(/^\\$share\\/[^/]+\\//, '') === filter) this.remove(key);
      const codes = packet.filters.map(`,
      ),
    ],
  },
  {
    statement: 'MQTT-3.3.1-11',
    breaks: 'Retain Handling 2 is taken for 1',
    test: ['retain.test.ts', 'Retain Handling 2 sends no retained messages'],
    edits: [
      inSubscriptions(
        '(retainHandling === 1 && old === undefined)',
        '(retainHandling > 0 && old === undefined)',
      ),
    ],
  },
  {
    statement: 'MQTT-3.1.2-28',
    breaks: 'Response Information goes to those who did not ask too',
    test: ['problem-information.test.ts', 'without Request Response Information CONNACK has none'],
    edits: [
      {
        file: 'lib/broker/broker.ts',
        search: 'if (terms !== undefined && connect?.properties.requestResponseInformation === true)',
        replace: 'if (terms !== undefined && connect?.version === 5)',
      },
    ],
  },
  {
    statement: 'MQTT-3.3.2-10',
    breaks: 'one alias more is used than the client allows',
    test: [
      'topic-alias.test.ts',
      'aliases towards a client stay within its maximum and name the right topics',
    ],
    edits: [inTransmitter('} else if (aliases.size < maximum) {', '} else if (aliases.size <= maximum) {')],
  },
  {
    statement: 'MQTT-3.3.2-10',
    breaks: 'a topic goes out under the newest alias, whichever it has',
    test: [
      'topic-alias.test.ts',
      'aliases towards a client stay within its maximum and name the right topics',
    ],
    edits: [
      inTransmitter(
        `      variant.alias = known;
      variant.aliasKnown = true;`,
        `      variant.alias = aliases.size;
      variant.aliasKnown = true;`,
      ),
    ],
  },
  {
    statement: 'MQTT-3.2.2-13',
    breaks: 'a retained will is accepted where nothing is retained',
    test: [
      'retain.test.ts',
      'where messages cannot be retained CONNACK says so, a retained will is refused and a retained publish too',
    ],
    edits: [
      {
        file: 'lib/connection/handshake.ts',
        search: 'if (will?.retain === true && !limits.retain) {',
        replace: 'if (will?.retain === true && will.topic === "" && !limits.retain) {',
      },
    ],
  },
  {
    statement: 'MQTT-2.1.3-1',
    breaks: 'the flags of byte 1 are not looked at',
    test: [
      'malformed.test.ts',
      'wrong flags in byte 1 of any packet end the connection of its sender and of nobody else',
    ],
    edits: [
      {
        file: 'lib/protocol/fixed-header.ts',
        search: 'if (rule.flags !== undefined && flags !== rule.flags) {',
        replace: 'if (rule.flags !== undefined && flags !== rule.flags && version < 5) {',
      },
    ],
  },
  {
    statement: 'MQTT-2.1.3-1',
    breaks: 'SUBSCRIBE may have any flags',
    test: ['subscribe.test.ts', 'other flags than 0010 in SUBSCRIBE and UNSUBSCRIBE end the connection'],
    edits: [
      {
        file: 'lib/protocol/fixed-header.ts',
        search: 'if (rule.flags !== undefined && flags !== rule.flags) {',
        replace:
          "if (rule.flags !== undefined && flags !== rule.flags && (version < 5 || name !== 'subscribe')) {",
      },
    ],
  },
  {
    statement: 'MQTT-2.1.3-1',
    breaks: 'CONNECT may have any flags',
    test: ['connect.test.ts', 'a CONNECT that does not follow its format ends the connection'],
    edits: [
      inAdmission(
        'if (this.#state === AdmissionState.waiting && first !== 0x10)',
        'if (this.#state === AdmissionState.waiting && first >> 4 !== 1)',
      ),
      inConnect(
        'if (firstByte !== FIRST_BYTE.connect)',
        'if (firstByte !== FIRST_BYTE.connect && connectVersionOf(frame) !== 5)',
      ),
    ],
  },
  {
    statement: 'MQTT-3.3.1-3',
    breaks: 'DUP of the publisher is passed on',
    test: ['publish.test.ts', 'DUP of the publisher is not passed on'],
    edits: [
      {
        file: 'lib/connection/publish-lane.ts',
        search: 'if (!this.#lastPermitted) this.#notAuthorized(',
        replace:
          'if ((header & DUP) !== 0) Object.assign(message, { dup: true });\n    if (!this.#lastPermitted) this.#notAuthorized(',
      },
      {
        file: 'lib/delivery/in-flight.ts',
        search: 'const header = PUBLISH | dup |',
        replace:
          "const header = PUBLISH | dup | (this.#transmitter.link.version === 5 && 'dup' in message ? DUP : 0) |",
      },
    ],
  },
  {
    statement: 'MQTT-3.9.3-2',
    breaks: 'a filter without permission gets 0x8a, which is not for SUBACK',
    test: [
      'credentials.test.ts',
      'a subscription without permission is refused in its place or brings nothing',
    ],
    edits: [
      inSubscriptions(
        "if (grant === 'none') return this.#refuse(request.filter, NOT_AUTHORIZED);",
        "if (grant === 'none') return this.#refuse(request.filter, { ...NOT_AUTHORIZED, code: ReasonCode.banned });",
      ),
      {
        file: 'lib/protocol/encode.ts',
        search: 'if (!mayCarryReasonCode(packet, code, undefined))',
        replace: "if (packet !== 'suback' && !mayCarryReasonCode(packet, code, undefined))",
      },
    ],
  },
  {
    statement: 'MQTT-3.3.2-8',
    breaks: 'Topic Alias 0 is accepted',
    test: ['topic-alias.test.ts', 'an alias of 0 or above the maximum ends the connection with 0x94'],
    edits: [
      {
        file: 'lib/connection/publish-properties.ts',
        search: 'if (alias === 0) throw',
        replace: 'if (alias < 0) throw',
      },
    ],
  },
  {
    statement: 'MQTT-3.14.1-1',
    breaks: 'the reserved bits of DISCONNECT are not looked at',
    test: [
      'malformed.test.ts',
      'wrong flags in byte 1 of any packet end the connection of its sender and of nobody else',
    ],
    edits: [
      {
        file: 'lib/protocol/fixed-header.ts',
        search: 'if (rule.flags !== undefined && flags !== rule.flags) {',
        replace:
          "if (rule.flags !== undefined && flags !== rule.flags && (version < 5 || name !== 'disconnect')) {",
      },
    ],
  },
  {
    statement: 'MQTT-3.3.2-17',
    breaks: 'a User Property with an empty name is not passed on',
    test: [
      'message-properties.test.ts',
      'the properties of a message arrive unaltered, User Properties in order',
    ],
    edits: [
      {
        file: 'lib/connection/publish-properties.ts',
        search: '} else if (id === Id.payloadFormat) {',
        replace: `} else if (id === Id.userProperty && bytes[at + 1] === 0 && bytes[at + 2] === 0) {
      (kept ??= []).push(bytes.subarray(keptFrom, at));
      keptFrom = next;
    } else if (id === Id.payloadFormat) {`,
      },
    ],
  },
  {
    statement: 'MQTT-3.3.2-17',
    breaks: 'Request Problem Information 0 takes the user properties of messages away',
    test: ['problem-information.test.ts', 'the user properties of messages are no problem information'],
    edits: [
      inTransmitter(
        '    const { frames } = this.#env.fanOut;\n    const v5 = link.version === 5;',
        `    const { frames } = this.#env.fanOut;
    if (!link.problemInformation) message = Object.assign(Object.create(message), { properties: new Uint8Array(0) });
    const v5 = link.version === 5;`,
      ),
    ],
  },
  {
    statement: 'MQTT-3.14.4-2',
    breaks: 'the server sends DISCONNECT, reads no more, and does not close',
    test: [
      'malformed.test.ts',
      'the DISCONNECT of a server is the last packet, has no Session Expiry Interval, and the connection ends',
    ],
    edits: [
      inConnection(
        '        this.close(reason.counter, reason.graceMs);\n',
        '        count(this.#env.counters, reason.counter);\n        this.#input.stop();\n',
      ),
    ],
  },
  {
    statement: 'MQTT-3.14.4-2',
    breaks: 'the connection of a client that sent DISCONNECT stays open',
    test: ['malformed.test.ts', 'the server closes the connection of a client that sent DISCONNECT'],
    edits: [
      inConnection(
        '    this.close(C.disconnectedByClient);',
        '    if (this.version < 5) this.close(C.disconnectedByClient);\n    else this.#input.stop();',
      ),
    ],
  },
  {
    statement: 'MQTT-3.2.2-1',
    breaks: 'a reserved flag of CONNACK is 1',
    test: ['connect.test.ts', 'CONNACK has no reserved flags and a code of its table'],
    edits: [
      {
        file: 'lib/protocol/encode.ts',
        search: 'writer.byte(packet.sessionPresent && version > 3 ? 1 : 0);',
        replace: 'writer.byte(packet.sessionPresent && version > 3 ? 1 : 2);',
      },
    ],
  },
  {
    statement: 'MQTT-3.2.2-1',
    breaks: 'a reserved flag of CONNACK is 1 where a session is present',
    test: ['connect.test.ts', 'CONNACK has no reserved flags and a code of its table'],
    edits: [
      {
        file: 'lib/protocol/encode.ts',
        search: 'writer.byte(packet.sessionPresent && version > 3 ? 1 : 0);',
        replace: 'writer.byte(packet.sessionPresent && version > 3 ? 3 : 0);',
      },
    ],
  },
  {
    statement: 'MQTT-3.1.2-13',
    breaks: 'Will Retain without a will is accepted',
    test: ['connect.test.ts', 'Will QoS and Will Retain without a will are refused'],
    edits: [
      inConnect(
        '(ConnectFlag.willQoS | ConnectFlag.willRetain)',
        '(ConnectFlag.willQoS | (version < 5 ? ConnectFlag.willRetain : 0))',
      ),
    ],
  },
];

export const MUTANTS: readonly Mutant[] = [
  ...OF_3_1_1.map((mutant) => ({ edition: '3.1.1' as const, ...mutant })),
  ...OF_5.map((mutant) => ({ edition: '5' as const, ...mutant })),
];
