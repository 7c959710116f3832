import t from 'tap';
import { parseConfig } from '../../../lib/config/index.js';

const machine = {
  memoryTotalBytes: 2 ** 30,
  openFilesMax: 100_000,
  heapMaxBytes: 2 ** 32,
  diskTotalBytes: () => 2 ** 35,
};
const parse = (overrides: unknown): ReturnType<typeof parseConfig> => parseConfig({ machine, overrides });

t.test('a gateway has what it needs for a mesh without being told anything', async (t) => {
  const { mesh, limits } = parse({});
  t.match(mesh, {
    enabled: undefined,
    site: undefined,
    swarmKeyFile: undefined,
    host: '127.0.0.1',
    tcpPort: 4430,
    udpPort: 4430,
    bootstrap: [],
    peers: [],
    lan: true,
    importFilters: ['#'],
    exportFilters: ['#'],
    linkMaxBytesPerSecond: 0,
    probePeriodMs: 500,
  });
  t.equal(mesh.peerKeepMaxBytes, Math.floor(limits.diskMaxBytes / 4));
  t.equal(parse({ mesh: { peerKeepMaxBytes: 0 } }).mesh.peerKeepMaxBytes, 0);
});

t.test('addresses of others have a port, and filters are filters', async (t) => {
  for (const peer of ['a:1', '10.0.0.7:4430', '[fe80::1%eth0]:65535', 'gateway.local:80'])
    t.same(parse({ mesh: { peers: [peer], bootstrap: [peer] } }).mesh.peers, [peer]);
  for (const peer of ['', 'a', 'a:', ':1', 'a:0', 'a:65536', 'fe80::1:80', 'a b:1', 'none']) {
    t.throws(() => parse({ mesh: { peers: ['b:1', peer] } }), {
      code: 'CONFIG_INVALID',
      message: `mesh.peers[1]: ${JSON.stringify(peer)} is not HOST:PORT with a port from 1 to 65535 (an IPv6 address stands in brackets) (given by the program)`,
    });
  }
  t.throws(() => parse({ mesh: { bootstrap: ['x'] } }), {
    message: /"x" is neither HOST:PORT with a port from 1 to 65535 nor "none"/,
  });
  const advertise = ['192.0.2.1:4430', '[2001:db8::1]:80'];
  t.same(parse({ mesh: { advertise } }).mesh.advertise, advertise);
  t.same(parse({ mesh: { advertise: ['none'] } }).mesh.advertise, ['none']);
  for (const address of ['gateway.local:80', '192.0.2.1', '192.0.2.256:1', '[192.0.2.1:1'])
    t.throws(() => parse({ mesh: { advertise: [address] } }), {
      message: /^mesh\.advertise\[0\]: ".+" is neither an IP address with a port from 1 to 65535 nor "none"/,
    });
  t.throws(() => parse({ mesh: { exportFilters: ['a/#/b'] } }), {
    message: /exportFilters\[0\]: "a\/#\/b" is not a topic filter/,
  });
  t.throws(() => parse({ mesh: { importFilters: [''] } }), { message: /is not a topic filter/ });
  t.throws(() => parse({ mesh: { site: 'a/b' } }), {
    message: /mesh\.site: "a\/b" is not allowed: it must be up to 63/,
  });
});

t.test('keys of the mesh that contradict others are quoted', async (t) => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ mesh: { bootstrap: ['none', 'a:1'] } }, /"none" excludes every other entry/],
    [{ mesh: { enabled: true, tcpPort: false, udpPort: false } }, /are both off/],
    [{ mesh: { advertise: ['none', '192.0.2.1:1'] } }, /advertise: "none" excludes every other entry/],
    [{ mesh: { peerKeepMaxBytes: 2 ** 40 } }, /peerKeepMaxBytes: \d+ is more than limits\.diskMaxBytes/],
    [{ mesh: { tcpPort: 1883 } }, /mesh\.tcpPort and listeners\.mqttPort are both 1883/],
    [{ mesh: { enabled: true }, http: { port: 4430 } }, /mesh\.tcpPort and http\.port are both 4430/],
  ];
  for (const [overrides, message] of cases)
    t.throws(() => parse(overrides), { code: 'CONFIG_INVALID', message });
  t.doesNotThrow(() => parse({ listeners: { mqttPort: 4430 } }), 'nobody asked for a mesh');
  t.doesNotThrow(() => parse({ mesh: { enabled: false, tcpPort: 1883 } }));
  t.doesNotThrow(() =>
    parse({ mesh: { enabled: true, tcpPort: false, udpPort: false, peers: ['192.0.2.1:4430'] } }),
  );
  t.doesNotThrow(() => parse({ mesh: { host: '10.0.0.1', tcpPort: 1883 } }));
});

t.test('the variable of the join command is no key', async (t) => {
  t.doesNotThrow(() => parseConfig({ machine, env: { SPRAWL_SWARM_KEY: 'sprawl1x' } }));
  t.same(
    parseConfig({ machine, env: { SPRAWL_MESH__PEERS: 'a:1, b:2', SPRAWL_MESH__SITE: 'x' } }).mesh.peers,
    ['a:1', 'b:2'],
  );
});
