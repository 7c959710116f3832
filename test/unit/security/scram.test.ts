import t from 'tap';
import type { EnhancedExchange, EnhancedStep } from '../../../lib/contracts/security.js';
import { createAuthenticator } from '../../../lib/security/authenticator.js';
import { hashPassword, parsePasswordHash, type ScramHash } from '../../../lib/security/password-hash.js';
import { parsePasswordFile } from '../../../lib/security/password-file.js';
import { createScramExchange } from '../../../lib/security/scram-exchange.js';
import { ScramClient } from '../../support/scram-client.js';

const RFC_ENTRY =
  '$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';

function scramHash(text: string): ScramHash {
  const hash = parsePasswordHash(text);
  if (hash.kind !== 'scram-sha-256') throw new Error('not a SCRAM entry');
  return hash;
}
const RFC_HASH = scramHash(RFC_ENTRY);
const rfcExchange = (known = true, settle = (_: string, proven: boolean) => proven) =>
  createScramExchange({
    serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    lookUp: () => ({ hash: RFC_HASH, known }),
    mayTry: () => true,
    settle,
  });
const CLIENT_FIRST = 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO';
const CLIENT_FINAL =
  'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';

function dataOf(step: EnhancedStep): Buffer {
  if (step.kind === 'refused' || step.data === undefined) throw new Error(`no data in ${step.kind}`);
  return Buffer.from(step.data);
}
const send = (exchange: EnhancedExchange, text: string) => exchange.step(Buffer.from(text));
const clock = { now: () => 0, wall: () => 0 };

t.test('the exchange of RFC 7677, section 3, happens byte by byte', async (t) => {
  const exchange = rfcExchange();
  const first = await send(exchange, CLIENT_FIRST);
  t.equal(first.kind, 'continue');
  t.equal(
    dataOf(first).toString(),
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  );
  const last = await send(exchange, CLIENT_FINAL);
  t.match(last, { kind: 'done', username: 'user' });
  t.equal(dataOf(last).toString(), 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  t.same(await send(exchange, CLIENT_FINAL), { kind: 'refused', reasonCode: 0x82 }, 'the end is the end');
});

t.test('a first message that is not SCRAM without channel binding is refused', async (t) => {
  const messages = [
    '',
    'hello',
    'p=tls-unique,,n=user,r=abc',
    'x,,n=user,r=abc',
    'n,n=user,r=abc',
    'n,,m=ext,n=user,r=abc',
    'n,,n=user',
    'n,,n=user,r=',
    'n,,n=,r=abc',
    'n,,n=us=er,r=abc',
    'n,,n=user,r=a b',
    'n,,n=user,r=abc,',
    'n,,n=user\0,r=abc',
    'n,a=other,n=user,r=abc',
    'n,a=us=er,n=user,r=abc',
    `n,,n=user,r=${'x'.repeat(2048)}`,
  ];
  for (const message of messages) {
    const exchange = rfcExchange();
    t.same(await send(exchange, message), { kind: 'refused', reasonCode: 0x87 }, message.slice(0, 40));
    t.equal((await send(exchange, CLIENT_FIRST)).kind, 'refused', 'and there is no second try');
  }
  t.equal((await rfcExchange().step(undefined)).kind, 'refused');
  t.equal((await rfcExchange().step(Buffer.from([0x6e, 0x2c, 0x2c, 0x6e, 0x3d, 0xff]))).kind, 'refused');
});

t.test('a final message that is not the one asked for is refused', async (t) => {
  const changed: [string, number][] = [
    [CLIENT_FINAL.replace('c=biws', 'c=eSws'), 0x87],
    [CLIENT_FINAL.replace('c=biws', 'c=biw'), 0x87],
    [CLIENT_FINAL.replace(',p=', ',q='), 0x87],
    [CLIENT_FINAL.slice(0, -1), 0x87],
    ['', 0x87],
    [CLIENT_FINAL.replace('k0,p', 'k1,p'), 0x86],
    [CLIENT_FINAL.replace('p=dH', 'p=eH'), 0x86],
    [CLIENT_FINAL.replace(/p=.*/, 'p=AAAA'), 0x86],
    [CLIENT_FINAL.replace(',p=', ',x=y,p='), 0x86],
  ];
  for (const [message, reasonCode] of changed) {
    const exchange = rfcExchange();
    await send(exchange, CLIENT_FIRST);
    t.same(await send(exchange, message), { kind: 'refused', reasonCode }, message);
  }
  const silent = rfcExchange();
  await send(silent, CLIENT_FIRST);
  t.equal((await silent.step(undefined)).kind, 'refused');
});

t.test('a proof that fits another nonce is refused', async (t) => {
  for (const [nonce, kind] of [
    [undefined, 'done'],
    ['rOprNGfwEbeRWgbNEkqO', 'refused'],
  ] as const) {
    const exchange = rfcExchange();
    const client = new ScramClient('user', 'pencil', 'rOprNGfwEbeRWgbNEkqO');
    const first = await exchange.step(client.first());
    t.equal((await exchange.step(client.final(dataOf(first), nonce))).kind, kind);
  }
});

t.test('an unknown user is refused at the end only, even with a fitting proof', async (t) => {
  const exchange = rfcExchange(false);
  t.equal((await send(exchange, CLIENT_FIRST)).kind, 'continue');
  t.same(await send(exchange, CLIENT_FINAL), { kind: 'refused', reasonCode: 0x86 });
});

async function login(exchange: EnhancedExchange | undefined, client: ScramClient): Promise<EnhancedStep> {
  if (exchange === undefined) throw new Error('the method is not offered');
  const answer = await exchange.step(client.first());
  return answer.kind === 'continue' ? exchange.step(client.final(answer.data)) : answer;
}

t.test('a user with a SCRAM entry logs in, and the client can trust the server', async (t) => {
  const passwords = parsePasswordFile(
    `a,b=c:${await hashPassword('pencil', { format: 'scram-sha-256', iterations: 4096 })}`,
    'f',
  );
  const authenticator = createAuthenticator({ allowAnonymous: false, passwords, clock });
  for (const gs2 of ['n,,', 'y,,', 'n,a=a=2Cb=3Dc,']) {
    const client = new ScramClient('a,b=c', 'pencil', 'abc', gs2);
    const end = await login(authenticator.startExchange('SCRAM-SHA-256', 'client'), client);
    t.match(end, { kind: 'done', username: 'a,b=c' });
    t.equal(client.trusts(dataOf(end)), true);
  }
  t.same(await login(authenticator.startExchange('SCRAM-SHA-256', 'c'), new ScramClient('a,b=c', 'pen')), {
    kind: 'refused',
    reasonCode: 0x86,
  });
});

t.test('the method is offered where a user can use it, by its exact name', (t) => {
  const offer = (text: string) =>
    createAuthenticator({ allowAnonymous: true, passwords: parsePasswordFile(text, 'f'), clock });
  t.same(offer(`user:${RFC_ENTRY}`).methods, ['SCRAM-SHA-256']);
  t.same(offer('').methods, []);
  t.equal(offer('').startExchange('SCRAM-SHA-256', 'c'), undefined);
  t.equal(offer(`user:${RFC_ENTRY}`).startExchange('SCRAM-SHA-1', 'c'), undefined);
  t.same(createAuthenticator({ allowAnonymous: true, passwords: undefined, clock }).methods, []);
  t.end();
});

t.test(
  'an unknown user sees a salt that stays the same and looks like the others, and a new nonce each time',
  async (t) => {
    const passwords = parsePasswordFile(`user:${RFC_ENTRY}\nplain:$7$1$AAAA$${'A'.repeat(86)}==`, 'f');
    const authenticator = createAuthenticator({ allowAnonymous: false, passwords, clock });
    const ask = async (name: string) => {
      const exchange = authenticator.startExchange('SCRAM-SHA-256', 'c');
      if (exchange === undefined) throw new Error('not offered');
      const text = dataOf(await send(exchange, `n,,n=${name},r=abc`)).toString();
      return /^r=(?<nonce>abc[^,]{24}),s=(?<salt>[^,]{24}),i=4096$/.exec(text)?.groups ?? {};
    };
    const [once, again, other, plain] = [
      await ask('nobody'),
      await ask('nobody'),
      await ask('noone'),
      await ask('plain'),
    ];
    t.ok(once['salt']);
    t.equal(once['salt'], again['salt']);
    t.not(once['salt'], other['salt']);
    t.ok(plain['salt'], 'as does one whose entry is of another kind');
    t.not(once['nonce'], again['nonce']);
  },
);

t.test(
  'a password changed by a reload during an exchange counts; an unchanged one does no harm',
  async (t) => {
    const table = (text: string) => parsePasswordFile(text, 'f');
    const authenticator = createAuthenticator({
      allowAnonymous: false,
      passwords: table(`user:${RFC_ENTRY}`),
      clock,
    });
    const other = await hashPassword('other', { format: 'scram-sha-256', iterations: 4096 });
    for (const [text, kind] of [
      [`user:${RFC_ENTRY}`, 'done'],
      [`user:${other}`, 'refused'],
      ['', 'refused'],
    ] as const) {
      authenticator.replace(table(`user:${RFC_ENTRY}`));
      const exchange = authenticator.startExchange('SCRAM-SHA-256', 'c');
      const client = new ScramClient('user', 'pencil');
      const first = await exchange?.step(client.first());
      authenticator.replace(table(text));
      t.equal(
        (await exchange?.step(client.final(dataOf(first ?? { kind: 'refused', reasonCode: 0 }))))?.kind,
        kind,
      );
    }
  },
);

t.test('failed exchanges close the door for a while', async (t) => {
  let now = 0;
  const passwords = parsePasswordFile(`user:${RFC_ENTRY}`, 'f');
  const authenticator = createAuthenticator({
    allowAnonymous: false,
    passwords,
    clock: { now: () => now, wall: () => 0 },
  });
  const attempt = async (password: string, address?: string) => {
    const end = await login(
      authenticator.startExchange('SCRAM-SHA-256', 'c', address),
      new ScramClient('user', password),
    );
    return end.kind === 'refused' ? end.reasonCode : end.kind;
  };
  t.equal(await attempt('pencil', '192.0.2.1'), 'done');
  for (let count = 0; count < 5; count++) t.equal(await attempt('wrong'), 0x86);
  t.equal(await attempt('pencil'), 0x87, 'the right password has to wait too');
  t.equal(await attempt('pencil', '192.0.2.1'), 'done', 'but not where it logged in before');
  for (let count = 0; count < 5; count++) await attempt('wrong');
  t.equal(await attempt('pencil'), 0x87);
  now = 1_000;
  t.equal(await attempt('pencil'), 'done');
});
