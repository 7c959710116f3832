import { randomBytes } from 'node:crypto';
import { format, inspect } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { AdminKey, createMesh } from '../../../../mesh/admission/admin-key.js';
import { Invitation, looksLikeInvitation } from '../../../../mesh/admission/invitation.js';
import { renderKeyText } from '../../../../mesh/admission/key-text.js';
import { SwarmKey } from '../../../../mesh/admission/swarm-key.js';
import { isSignedBy } from '../../../../mesh/identity/ed25519.js';

const { swarmKey, adminKey, binding } = createMesh(randomBytes);
const END_MS = 1_800_000_000_000;

t.test('a swarm key is made for one admin, and shows no other', async (t) => {
  t.ok(swarmKey.matchesAdmin(binding.publicKey, binding.salt));
  const other = createMesh(randomBytes);
  t.notOk(swarmKey.matchesAdmin(other.binding.publicKey, binding.salt));
  t.notOk(swarmKey.matchesAdmin(binding.publicKey, other.binding.salt));
  t.notOk(swarmKey.matchesAdmin(binding.publicKey.subarray(1), binding.salt));
  t.notOk(swarmKey.matchesAdmin(binding.publicKey, Uint8Array.from([...binding.salt, 0])));
  t.notOk(SwarmKey.create(randomBytes).matchesAdmin(binding.publicKey, binding.salt));
  t.ok(SwarmKey.parse(swarmKey.reveal()).equals(swarmKey));
  t.throws(() => SwarmKey.ofAdmin(new Uint8Array(31), binding.salt), RangeError);
});

t.test('an admin key comes back from paper, and mistakes are named without it', async (t) => {
  const text = adminKey.reveal();
  t.match(text, /^sprawladmin1[a-z0-9]{58}$/);
  const again = AdminKey.parse(` ${text.toUpperCase()}\n`);
  t.same(again.publicKey, adminKey.publicKey);
  t.ok(isSignedBy(adminKey.publicKey, Buffer.from('x'), again.sign(Buffer.from('x'))));
  t.notOk(isSignedBy(adminKey.publicKey, Buffer.from('y'), again.sign(Buffer.from('x'))));
  t.notOk(isSignedBy(new Uint8Array(3), Buffer.from('x'), again.sign(Buffer.from('x'))));
  t.notOk(isSignedBy(adminKey.publicKey, Buffer.from('x'), new Uint8Array(3)));
  t.doesNotThrow(() => isSignedBy(new Uint8Array(32).fill(255), Buffer.from('x'), new Uint8Array(64)));
  const last = text.endsWith('q') ? 'p' : 'q';
  for (const [wrong, why] of [
    [swarmKey.reveal(), /does not begin with "sprawladmin1"/],
    [text.slice(0, -1), /it has 69 characters instead of 70/],
    [text.slice(0, -1) + last, /its checksum is wrong/],
    [text.replace(/1./, '1b'), /its character 13 is "b", which no admin key has/],
    [`S${text.slice(1)}`, /capital and small letters/],
  ] as const) {
    try {
      AdminKey.parse(wrong);
      t.fail('it was taken');
    } catch (error) {
      t.match(error, { code: 'ADMIN_KEY_INVALID', message: why });
      t.notOk(String(error).includes(text.slice(14, 40)));
    }
  }
});

t.test('secrets are in nothing that prints', async (t) => {
  const invitation = Invitation.create(adminKey, binding.salt, END_MS);
  for (const [secret, value] of [
    [adminKey.reveal(), adminKey],
    [invitation.reveal(), invitation],
  ] as const) {
    const shown = [
      String(value),
      JSON.stringify({ value }),
      inspect({ value }, { depth: 9 }),
      format('%o', value),
    ];
    for (const text of shown) t.notOk(text.includes(secret.slice(14, 40)), text);
  }
});

t.test('an invitation carries the swarm key until its end', async (t) => {
  const text = Invitation.create(adminKey, binding.salt, END_MS).reveal();
  t.ok(looksLikeInvitation(` ${text}`));
  t.notOk(looksLikeInvitation(swarmKey.reveal()));
  const invitation = Invitation.parse(`\n${text}\n`);
  t.ok(invitation.swarmKey.equals(swarmKey));
  t.ok(swarmKey.matchesAdmin(invitation.admin.publicKey, invitation.admin.salt));
  t.equal(invitation.endsAtMs, END_MS);
  t.doesNotThrow(() => invitation.expectValid(END_MS));
  t.throws(() => invitation.expectValid(END_MS + 1), {
    code: 'INVITATION_ENDED',
    message: /ended less than an hour ago; ask for a new one/,
  });
  t.throws(() => invitation.expectValid(END_MS + 7_300_000), { message: /ended 2 h ago/ });
});

t.test('an invitation whose end was moved is no invitation', async (t) => {
  const other = createMesh(randomBytes);
  const bytes = (salt: Uint8Array, publicKey: Uint8Array, end: number): Uint8Array => {
    const endBytes = new Uint8Array(6).map((_, i) => Math.floor(end / 2 ** (8 * i)) & 0xff);
    return Uint8Array.from([...salt, ...publicKey, ...endBytes, ...new Uint8Array(64).fill(1)]);
  };
  for (const publicKey of [binding.publicKey, other.binding.publicKey]) {
    const text = renderKeyText('sprawlinvite', bytes(binding.salt, publicKey, END_MS));
    t.throws(() => Invitation.parse(text), {
      code: 'INVITATION_INVALID',
      message: /its signature is not that/,
    });
  }
  const text = Invitation.create(adminKey, binding.salt, END_MS).reveal();
  fc.assert(
    fc.property(fc.integer({ min: 13, max: text.length - 1 }), (at) => {
      const changed = text.slice(0, at) + (text[at] === 'q' ? 'p' : 'q') + text.slice(at + 1);
      try {
        Invitation.parse(changed);
      } catch (error) {
        return error instanceof Error && /INVITATION_INVALID/.test(JSON.stringify(error));
      }
      return false;
    }),
  );
  t.throws(() => Invitation.parse(text.slice(0, 90)), {
    code: 'INVITATION_INVALID',
    message: /not copied whole/,
  });
});
