import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { createMesh } from '../../../../mesh/admission/admin-key.js';
import { Roster } from '../../../../mesh/admission/roster.js';
import { SwarmKey } from '../../../../mesh/admission/swarm-key.js';
import { sealJson } from '../../../../mesh/identity/json-file.js';
import { MembershipFiles } from '../../../../mesh/identity/membership-files.js';
import { nodeMeshFiles } from '../../../../mesh/identity/mesh-files.js';
import { type MeshLayout, meshLayoutOf } from '../../../../mesh/identity/mesh-layout.js';
import { openAddressBook, openLineageBook } from '../../../../mesh/identity/peer-files.js';
import { isSiteName, siteNameOf } from '../../../../mesh/identity/site-name.js';
import { tempFolder, Warnings } from './temp-folder.js';

const ID = gatewayIdOf(new Uint8Array(32).fill(1));
const OTHER = gatewayIdOf(new Uint8Array(32).fill(2));

function opened(t: Test): { files: MembershipFiles; logger: Warnings; layout: MeshLayout } {
  const logger = new Warnings();
  const layout = meshLayoutOf(join(tempFolder(t), 'data'));
  return { files: new MembershipFiles(nodeMeshFiles, layout, logger), logger, layout };
}

t.test('the swarm key is kept as text, for its owner alone', async (t) => {
  const { files, logger, layout } = opened(t);
  t.equal(await files.readSwarmKey(), undefined);
  const key = SwarmKey.create(randomBytes);
  await files.writeSwarmKey(key);
  t.equal(readFileSync(layout.swarmKey, 'utf8'), `${key.reveal()}\n`);
  t.equal(statSync(layout.swarmKey).mode & 0o777, 0o600);
  t.ok((await files.readSwarmKey())?.equals(key));
  t.same(logger.lines, []);
  chmodSync(layout.swarmKey, 0o640);
  t.ok((await files.readSwarmKey())?.equals(key));
  t.match(logger.lines, [/could read a key.*swarm\.key/]);
  writeFileSync(layout.swarmKey, key.reveal().slice(0, 40));
  await t.rejects(files.readSwarmKey(), {
    code: 'SWARM_KEY_INVALID',
    message: /swarm\.key: .*not copied whole/,
  });
});

t.test('a roster comes back, unless it is damaged or that of another mesh', async (t) => {
  const { files, logger, layout } = opened(t);
  const { swarmKey, adminKey, binding } = createMesh(randomBytes);
  t.equal(await files.readRoster(swarmKey), undefined);
  const roster = new Roster(binding);
  roster.evict(adminKey, ID, 'stolen');
  await files.writeRoster(roster);
  const read = await files.readRoster(swarmKey);
  t.equal(read?.version, roster.version);
  t.equal(read?.isEvicted(ID), true);
  t.same(read?.admin, binding);
  t.same(logger.lines, []);
  t.equal(await files.readRoster(SwarmKey.create(randomBytes)), undefined);
  const whole = readFileSync(layout.roster);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const admin = { adminPublicKey: hex(binding.publicKey), salt: hex(binding.salt) };
  for (const bytes of [
    whole.subarray(0, 50),
    sealJson({}),
    sealJson({ ...admin, salt: 'ab' }),
    sealJson({ ...admin, evictions: 7 }),
    sealJson({ ...admin, evictions: ['AAAA', 7] }),
  ]) {
    writeFileSync(layout.roster, bytes);
    t.equal(await files.readRoster(swarmKey), undefined);
  }
  t.equal(logger.lines.length, 6);
  t.match(logger.lines[0], /roster is damaged/);
});

t.test('the name of the site is kept, and a damaged one is told', async (t) => {
  const { files, logger, layout } = opened(t);
  t.equal(await files.readSite(), undefined);
  await files.writeSite('harbour');
  t.equal(await files.readSite(), 'harbour');
  writeFileSync(layout.site, sealJson({ site: 'a b' }));
  t.equal(await files.readSite(), undefined);
  t.match(logger.lines, [/name of the site is damaged.*--site/]);
});

t.test('time goes on only forward, whatever the clock says', async (t) => {
  const { files, layout } = opened(t);
  t.equal(await files.timeAtLeast(1000), 1000);
  t.equal(await files.timeAtLeast(900), 1000);
  t.equal(await files.timeAtLeast(1100), 1100);
  writeFileSync(layout.timeFloor, 'noise');
  t.equal(await files.timeAtLeast(10), 10);
});

t.test('leaving removes everything of the mesh, and nothing of the gateway', async (t) => {
  const { files, layout } = opened(t);
  await files.writeSwarmKey(SwarmKey.create(randomBytes));
  await files.writeSite('harbour');
  await files.writeRoster(new Roster(createMesh(randomBytes).binding));
  for (const path of [layout.addresses, layout.lineages, layout.identityKey]) writeFileSync(path, '');
  await files.clear();
  t.same(readdirSync(layout.folder), ['identity.key']);
  await files.clear();
});

t.test('a file of a newer version is refused', async (t) => {
  const { files, layout } = opened(t);
  await files.writeSite('x');
  writeFileSync(layout.site, sealJson({ version: 2, site: 'x' }));
  await t.rejects(files.readSite(), { code: 'STORAGE_FORMAT_NEWER', message: /site\.json has format 2/ });
});

t.test('addresses come back; damaged ones are logged and begun anew', async (t) => {
  const { logger, layout } = opened(t);
  await nodeMeshFiles.makeFolder(layout.folder);
  const book = openAddressBook(nodeMeshFiles, layout.addresses, logger);
  t.same(await book.load(), []);
  const peers = [
    { id: ID, addresses: ['10.0.0.1:4430', '[::1]:4430'] },
    { id: OTHER, addresses: [] },
  ];
  await Promise.all([book.save([]), book.save(peers)]);
  t.same(await book.load(), peers);
  await book.save([{ id: ID, addresses: Array.from({ length: 40 }, (_, i) => `h:${i + 1}`) }]);
  t.equal((await book.load())[0]?.addresses.length, 16);
  const noise = [
    7,
    null,
    { id: 'x', addresses: [] },
    { id: ID },
    { id: OTHER, addresses: [1, 'a:1', 'x'.repeat(301)] },
  ];
  writeFileSync(layout.addresses, sealJson({ entries: noise }));
  t.same(await book.load(), [{ id: OTHER, addresses: ['a:1'] }]);
  t.same(logger.lines, []);
  writeFileSync(layout.addresses, readFileSync(layout.addresses).subarray(0, 30));
  t.same(await book.load(), []);
  t.match(logger.lines, [/damaged and begun anew.*addresses\.json/]);
});

t.test('the lives of others come back, and a failed save does not stop the next', async (t) => {
  const { logger, layout } = opened(t);
  const book = openLineageBook(nodeMeshFiles, layout.lineages, logger);
  const lineage = [{ counter: 3, nonce: 'ab'.repeat(8), after: 7 }];
  await t.rejects(book.save(new Map([[ID, lineage]])), { code: 'MESH_FILE_FAILED' });
  await nodeMeshFiles.makeFolder(layout.folder);
  await book.save(new Map([[ID, lineage]]));
  t.same([...(await book.load())], [[ID, lineage]]);
  const bad = [
    { id: ID, lineage: [] },
    { id: ID, lineage: [{ ...lineage[0], after: -1 }] },
    { id: 'x', lineage },
  ];
  writeFileSync(
    layout.lineages,
    sealJson({ entries: [...bad, { id: OTHER, lineage: [7] }, { id: OTHER, lineage }] }),
  );
  t.same([...(await book.load())], [[OTHER, lineage]]);
});

t.test('whatever a machine is called, it is a name of a site', async (t) => {
  for (const [hostname, site] of [
    ['raspberrypi', 'raspberrypi'],
    ['Müllers Küche', 'Mu-llers-Ku-che'],
    ['.hidden_', 'hidden_'],
    ['', 'gateway'],
    ['日本', 'gateway'],
    ['x'.repeat(80), 'x'.repeat(63)],
  ] as const) {
    t.equal(siteNameOf(hostname), site);
    t.ok(isSiteName(site));
  }
  for (const text of ['', '-a', 'a b', 'a/b', 'x'.repeat(64)]) t.notOk(isSiteName(text));
});
