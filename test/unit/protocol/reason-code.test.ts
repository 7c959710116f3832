import t from 'tap';
import {
  mayCarryReasonCode,
  PacketType,
  ReasonCode,
  reasonCodeName,
  ReturnCode,
  returnCodeOf,
} from '../../../lib/protocol/index.js';
import type { Direction, PacketTypeName } from '../../../lib/protocol/index.js';

/** The tables of the sections named, written down a second time from the other side: by packet. */
const LEGAL: readonly [PacketTypeName, Direction, readonly number[]][] = [
  [
    'connack',
    'toClient',
    [
      0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99,
      0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
    ],
  ],
  ['puback', 'toServer', [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]],
  ['puback', 'toClient', [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]],
  ['pubrec', 'toServer', [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]],
  ['pubrec', 'toClient', [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]],
  ['pubrel', 'toServer', [0x00, 0x92]],
  ['pubrel', 'toClient', [0x00, 0x92]],
  ['pubcomp', 'toServer', [0x00, 0x92]],
  ['pubcomp', 'toClient', [0x00, 0x92]],
  ['suback', 'toClient', [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]],
  ['unsuback', 'toClient', [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]],
  [
    'disconnect',
    'toServer',
    [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
  ],
  [
    'disconnect',
    'toClient',
    [
      0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96,
      0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
    ],
  ],
  ['auth', 'toServer', [0x18, 0x19]],
  ['auth', 'toClient', [0x00, 0x18]],
];

for (const [packet, direction, legal] of LEGAL) {
  t.test(`${packet} ${direction} carries its own reason codes and no other`, async (t) => {
    const found = Array.from({ length: 256 }, (_, code) => code).filter((code) =>
      mayCarryReasonCode(packet, code, direction),
    );
    t.same(found, legal);
  });
}

t.test('without a direction a code is legal where either direction has it', async (t) => {
  t.ok(mayCarryReasonCode('disconnect', 0x04, undefined));
  t.ok(mayCarryReasonCode('disconnect', 0x8b, undefined));
  t.notOk(mayCarryReasonCode('disconnect', 0x84, undefined));
  t.notOk(mayCarryReasonCode('disconnect', 256, undefined), 'not a byte');
});

t.test('packets without reason codes carry none', async (t) => {
  const listed = new Set(LEGAL.map(([packet]) => packet));
  const others = (Object.keys(PacketType) as PacketTypeName[]).filter((name) => !listed.has(name));
  t.same(others, ['connect', 'publish', 'subscribe', 'unsubscribe', 'pingreq', 'pingresp']);
  for (const packet of others) t.notOk(mayCarryReasonCode(packet, 0, undefined), packet);
});

t.test('every code has its name, and no other number has one', async (t) => {
  for (const [name, code] of Object.entries(ReasonCode)) t.equal(reasonCodeName(code), name);
  t.equal(reasonCodeName(0x7f), undefined);
  t.equal(reasonCodeName(256), undefined);
});

t.test('a 3.1.1 client is told the nearest return code', async (t) => {
  t.equal(returnCodeOf(ReasonCode.success), ReturnCode.accepted);
  t.equal(returnCodeOf(ReasonCode.unsupportedProtocolVersion), ReturnCode.unacceptableProtocolVersion);
  t.equal(returnCodeOf(ReasonCode.clientIdentifierNotValid), ReturnCode.identifierRejected);
  t.equal(returnCodeOf(ReasonCode.badUserNameOrPassword), ReturnCode.badUserNameOrPassword);
  t.equal(returnCodeOf(ReasonCode.notAuthorized), ReturnCode.notAuthorized);
  t.equal(returnCodeOf(ReasonCode.banned), ReturnCode.notAuthorized);
  t.equal(returnCodeOf(ReasonCode.badAuthenticationMethod), ReturnCode.notAuthorized);
  t.equal(returnCodeOf(ReasonCode.quotaExceeded), ReturnCode.serverUnavailable);
});
