/** Whether and how a gateway takes part in a mesh, by its configuration and its data folder. Nothing is started. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { parseConfig } from '../../lib/config/index.js';
import { openMesh } from '../../lib/gateway-mesh.js';
import { realClock } from '../../lib/real-clock.js';
import { SwarmKey } from '../../mesh/admission/swarm-key.js';
import { MembershipFiles } from '../../mesh/identity/membership-files.js';
import { nodeMeshFiles } from '../../mesh/identity/mesh-files.js';
import { meshLayoutOf } from '../../mesh/identity/mesh-layout.js';
import { siteNameOf, type Mesh } from '../../mesh/index.js';
import { allTurns, Scheduler } from '../sim/scheduler.js';
import { nullLogger } from '../support/null-logger.js';
import { Site } from './mesh/node/site.js';

class Folder {
  readonly dataDir: string;
  readonly files: MembershipFiles;

  constructor(t: Test) {
    const made = mkdtempSync(join(tmpdir(), 'sprawl-gateway-mesh-'));
    t.teardown(() => rmSync(made, { recursive: true, force: true }));
    this.dataDir = join(made, 'data');
    this.files = new MembershipFiles(nodeMeshFiles, meshLayoutOf(this.dataDir), nullLogger);
  }

  open(mesh: Record<string, unknown> = {}): Promise<Mesh | undefined> {
    const { lanes, store } = new Site(new Scheduler(allTurns), 1);
    const config = parseConfig({ overrides: { dataDir: this.dataDir, mesh } });
    return openMesh(config, { clock: realClock, logger: nullLogger, store, lanes });
  }
}

const KEY = SwarmKey.create(randomBytes);

t.test(
  'a data folder without a swarm key is in no mesh, and where that was asked for it is a mistake',
  async (t) => {
    const folder = new Folder(t);
    t.equal(await folder.open(), undefined);
    t.equal(await folder.open({ enabled: false }), undefined);
    const { identityKey } = meshLayoutOf(folder.dataDir);
    mkdirSync(dirname(identityKey), { recursive: true });
    writeFileSync(identityKey, 'damaged');
    t.equal(await folder.open(), undefined, 'whatever is where its identity would be');
    rmSync(identityKey);
    await t.rejects(folder.open({ enabled: true }), {
      code: 'MESH_MISSING',
      message: /mesh\.enabled is true, and .* is in no mesh: "sprawl-edge init" makes one/,
    });
    await t.rejects(folder.open({ swarmKeyFile: join(folder.dataDir, 'nowhere'), enabled: true }), {
      code: 'SWARM_KEY_INVALID',
      message: /mesh\.swarmKeyFile: .*nowhere: it is not there/,
    });
  },
);

t.test('with a swarm key it is in the mesh, unless that is switched off', async (t) => {
  const folder = new Folder(t);
  await folder.files.writeSwarmKey(KEY);
  t.equal(await folder.open({ enabled: false }), undefined);
  t.notOk(existsSync(meshLayoutOf(folder.dataDir).identityKey), 'and then there is no identity, either');
  for (const mesh of [{}, { enabled: true }]) {
    const opened = await folder.open(mesh);
    t.equal(opened?.node.hasBegun, false);
    t.equal(opened?.node.retainedFloor, 0);
  }
});

t.test('the swarm key may be in another file; a damaged one is an error', async (t) => {
  const folder = new Folder(t);
  const swarmKeyFile = `${folder.dataDir}.key`;
  writeFileSync(swarmKeyFile, `${KEY.reveal()}\n`);
  t.ok(await folder.open({ swarmKeyFile }));
  writeFileSync(swarmKeyFile, KEY.reveal().slice(0, 20));
  await t.rejects(folder.open({ swarmKeyFile }), {
    code: 'SWARM_KEY_INVALID',
    message: new RegExp(`^mesh\\.swarmKeyFile: ${swarmKeyFile}: this is no swarm key`),
  });
});

t.test(
  'the name of the site is that of the configuration, else the stored one, else the host name',
  async (t) => {
    const folder = new Folder(t);
    await folder.files.writeSwarmKey(KEY);
    const siteOf = async (mesh?: Record<string, unknown>): Promise<string | undefined> =>
      (await folder.open(mesh))?.settings.site;
    t.equal(await siteOf(), siteNameOf(hostname()));
    await folder.files.writeSite('harbour');
    t.equal(await siteOf(), 'harbour');
    t.equal(await siteOf({ site: 'mill' }), 'mill');
  },
);

t.test(
  'addresses become host and port, and ports that are off become what the transport knows',
  async (t) => {
    const folder = new Folder(t);
    await folder.files.writeSwarmKey(KEY);
    const settingsOf = async (mesh: Record<string, unknown>): Promise<Mesh['settings'] | undefined> =>
      (await folder.open(mesh))?.settings;
    t.match(await settingsOf({ peers: ['10.0.0.7:4430', '[fe80::1]:1', 'mill.example:2'] }), {
      peers: [
        { host: '10.0.0.7', port: 4430 },
        { host: 'fe80::1', port: 1 },
        { host: 'mill.example', port: 2 },
      ],
      ...{
        bootstrap: undefined,
        listen: { host: '127.0.0.1', tcpPort: 4430, udpPort: 4430 },
        firewalled: false,
      },
    });
    t.match(await settingsOf({ bootstrap: ['10.0.0.1:49737'], host: '0.0.0.0' }), {
      bootstrap: [{ host: '10.0.0.1', port: 49_737 }],
      firewalled: undefined,
    });
    t.match(await settingsOf({ bootstrap: ['none'], host: 'localhost' }), {
      bootstrap: [],
      firewalled: false,
    });
    t.match(await settingsOf({ tcpPort: false, udpPort: false }), {
      ...{ bootstrap: [], listen: { tcpPort: undefined, udpPort: 0 } },
    });
  },
);
