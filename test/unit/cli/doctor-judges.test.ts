import t from 'tap';
import { failure, type Finding, gravest, ok, skipped, warning } from '../../../lib/cli/doctor/finding.js';
import {
  type FolderFound,
  judgeFolder,
  judgeSpace,
  judgeSync,
} from '../../../lib/cli/doctor/judge-folder.js';
import {
  judgeClock,
  judgeNode,
  judgePackages,
  judgePlatform,
  judgeTimeServer,
  type MachineFound,
} from '../../../lib/cli/doctor/judge-machine.js';
import { judgeKeyFiles, judgeMembership, type MeshSeen } from '../../../lib/cli/doctor/judge-mesh.js';
import {
  judgePeer,
  judgePort,
  judgeReach,
  judgeReachPlan,
  type ReachPlan,
  type ReachSeen,
} from '../../../lib/cli/doctor/judge-network.js';

const GIB = 1024 ** 3;
const PI: MachineFound = {
  nodeVersion: '20.19.0',
  platform: 'linux',
  architecture: 'arm64',
  glibcVersion: '2.36',
};

t.test('the gravest of all findings is the verdict, and what was skipped weighs nothing', async (t) => {
  const [fine, odd, bad] = [ok('a', ''), warning('b', '', 'x'), failure('c', '', 'x')];
  t.equal(gravest([fine, odd, bad]), 'fail');
  t.equal(gravest([odd, fine]), 'warn');
  t.equal(gravest([skipped('d', ''), fine]), 'ok');
  t.equal(gravest([]), 'ok');
});

t.test('Node.js has to be as new as the package says', async (t) => {
  for (const [nodeVersion, verdict] of [
    ['20.11.0', 'ok'],
    ['22.0.0', 'ok'],
    ['20.10.9', 'fail'],
    ['18.20.1', 'fail'],
    ['rubbish', 'fail'],
  ] as const)
    t.match(judgeNode({ ...PI, nodeVersion }), { verdict }, nodeVersion);
});

t.test('the system has to be one for which there is machine code', async (t) => {
  const cases: readonly (readonly [Partial<MachineFound>, Finding['verdict'], RegExp])[] = [
    [{}, 'ok', /^$/],
    [{ architecture: 'x64', glibcVersion: '2.33' }, 'ok', /^$/],
    [{ glibcVersion: '2.31' }, 'fail', /glibc 2\.33 or later: use a 64-bit system of 2022/],
    [{ architecture: 'arm', glibcVersion: '2.36' }, 'fail', /no build for arm: use a 64-bit system/],
    [{ glibcVersion: undefined }, 'fail', /without glibc, such as Alpine/],
    [{ platform: 'darwin', glibcVersion: undefined }, 'warn', /Linux is what it is tested on/],
  ];
  for (const [changes, verdict, advice] of cases)
    t.match(judgePlatform({ ...PI, ...changes }), { verdict, advice });
});

t.test('a package that does not load is named with the reason', async (t) => {
  t.match(judgePackages([{ name: 'level', fault: undefined }]), { verdict: 'ok', value: 'level load' });
  t.match(
    judgePackages([
      { name: 'level', fault: undefined },
      { name: 'hyperdht', fault: 'GLIBC_2.33 not found' },
    ]),
    { verdict: 'fail', value: 'hyperdht does not load: GLIBC_2.33 not found' },
  );
});

t.test('a clock that cannot be right is found out', async (t) => {
  const [day, year2026] = [86_400_000, Date.UTC(2026, 0, 1)];
  const judge = (wallMs: number, builtMs = 0, floorMs = 0): Finding =>
    judgeClock({ wallMs, builtMs, floorMs });
  t.match(judge(year2026), { verdict: 'ok', value: '2026-01-01T00:00:00Z' });
  t.match(judge(0), { verdict: 'fail', value: /^1970.*in the past \(2025-01-01/ });
  t.match(judge(year2026, year2026 + day), {
    verdict: 'fail',
    value: /before this program was built \(2026-01-02/,
  });
  t.match(judge(year2026, 0, year2026 + day), {
    verdict: 'fail',
    value: /behind the latest time .*\(2026-01-02/,
  });
  t.match(judge(year2026, year2026 + 30_000, year2026 + 30_000), { verdict: 'ok' }, 'a small correction');
  t.match(judge(year2026 + 30 * 365 * day), { verdict: 'fail', value: /too far in the future/ });
});

t.test('a clock is kept by a server, or not, or nobody knows', async (t) => {
  t.match(judgeTimeServer(true), { verdict: 'ok' });
  t.match(judgeTimeServer(false), { verdict: 'warn', advice: /timedatectl set-ntp true/ });
  t.match(judgeTimeServer(undefined), { verdict: 'skip', value: /^unknown/ });
});

t.test('a data folder has to be writable for the one who looks', async (t) => {
  const found: FolderFound = {
    path: './d',
    lookedAt: '/x/d',
    exists: true,
    isInUse: false,
    isOwn: true,
    fault: undefined,
  };
  t.match(judgeFolder(found), { verdict: 'ok', value: './d can be written' });
  t.match(judgeFolder({ ...found, isInUse: true }), { value: /and a gateway runs on it/ });
  t.match(judgeFolder({ ...found, exists: false, lookedAt: '/x' }), { verdict: 'ok', value: /can be made/ });
  t.match(judgeFolder({ ...found, isOwn: false }), { verdict: 'warn', advice: /run this as the user/ });
  t.match(judgeFolder({ ...found, fault: 'EROFS' }), {
    verdict: 'fail',
    value: './d cannot be written: EROFS',
  });
  t.match(judgeFolder({ ...found, exists: false, lookedAt: '/x', fault: 'EACCES' }), {
    verdict: 'fail',
    value: './d cannot be made in /x: EACCES',
  });
});

t.test('free space is held against the limits', async (t) => {
  const limits = { diskMaxBytes: 10 * GIB, diskReserveBytes: GIB };
  const judge = (free: number, used: number): Finding =>
    judgeSpace({ freeBytes: free * GIB, usedBytes: used * GIB }, limits);
  t.match(judge(11, 0), { verdict: 'ok', value: '11.0 GiB free, 0 bytes in the data folder' });
  t.match(judge(5, 6), { verdict: 'ok' }, 'what is used already counts');
  t.match(judge(5, 1), { verdict: 'warn', value: /may use 10\.0 GiB .* has room for 5\.0 GiB/ });
  t.match(judge(1, 9), { verdict: 'fail', advice: /refuses messages/ });
});

t.test('the speed of a disk is that of its middle write, and its pauses count', async (t) => {
  const times = (p50: number, worst = p50): number[] => [worst, ...Array.from({ length: 99 }, () => p50)];
  t.match(judgeSync(times(1, 9)), {
    verdict: 'ok',
    value: 'p50 1.0 ms, worst 9.0 ms (100 writes of 4 KiB)',
    measured: { p50Ms: 1, worstMs: 9, count: 100 },
  });
  t.match(judgeSync(times(1, 1500)), { verdict: 'warn', advice: /pauses now and then/ });
  t.match(judgeSync(times(10)), { verdict: 'warn', advice: /a slow card/ });
  t.match(judgeSync(times(99.9)), { verdict: 'warn' });
  t.match(judgeSync(times(100)), { verdict: 'fail', advice: /SSD/ });
  t.match(judgeSync([5]), { verdict: 'ok' });
  t.match(judgeSync([]), { verdict: 'fail' });
});

t.test('a port is free, in use by the gateway, or in the way', async (t) => {
  const port = {
    name: 'mqtt',
    key: 'listeners.mqttPort',
    kind: 'tcp',
    host: '0.0.0.0',
    hostKey: 'listeners.host',
    port: 1883,
  } as const;
  t.match(judgePort(port, undefined, true), {
    check: 'port mqtt',
    verdict: 'ok',
    value: '0.0.0.0:1883/tcp is free',
  });
  t.match(judgePort(port, 'EADDRINUSE', true), { verdict: 'ok', value: /a gateway runs/ });
  t.match(judgePort(port, 'EADDRINUSE', false), {
    verdict: 'fail',
    advice: /ss -lnpt .*:1883.*listeners\.mqttPort/,
  });
  t.match(judgePort({ ...port, kind: 'udp' }, 'EADDRINUSE', false), { advice: /ss -lnpu/ });
  t.match(judgePort(port, 'EACCES', false), { verdict: 'fail', advice: /CAP_NET_BIND_SERVICE/ });
  t.match(judgePort(port, 'EADDRNOTAVAIL', false), {
    verdict: 'fail',
    value: /is not an address of this machine/,
    advice: /^set listeners\.host to one that/,
  });
  t.match(judgePort(port, 'EMFILE', false), { verdict: 'fail', value: /cannot be opened: EMFILE/ });
});

t.test('what the hash table sees says how others get here', async (t) => {
  const plan: ReachPlan = { host: '0.0.0.0', bootstrap: ['10.0.0.1:49737'], isOtherPort: false };
  const seen: ReachSeen = {
    port: 4430,
    nodes: 5,
    observers: 3,
    seenAt: ['203.0.113.7:50000'],
    isFirewalled: true,
  };
  const two = ['203.0.113.7:50000', '203.0.113.7:50001'];
  t.match(judgeReach(plan, { ...seen, isFirewalled: false, seenAt: two }), {
    verdict: 'ok',
    value: '3 machines see this one at 203.0.113.7, and UDP port 4430 is reached directly',
  });
  t.match(judgeReach(plan, seen), { verdict: 'ok', value: /at 203\.0\.113\.7:50000.*by hole punching/ });
  t.match(judgeReach(plan, { ...seen, seenAt: two }), {
    verdict: 'warn',
    value: /a port of its own/,
    advice: /^two gateways behind such ones .*of one of them$/,
  });
  const other = { ...plan, isOtherPort: true };
  t.match(judgeReach(other, { ...seen, seenAt: two }), { advice: /stop the gateway and run this again/ });
  t.match(judgeReach(other, seen), { verdict: 'ok', advice: /another one was tried/ });
  t.match(judgeReach(plan, { ...seen, observers: 1 }), {
    verdict: 'ok',
    value: /^1 machine sees .*does not show/,
  });
  t.match(judgeReach(plan, { ...seen, isFirewalled: undefined }), {
    verdict: 'warn',
    value: /not told in time/,
  });
  const nobody = { ...seen, nodes: 0, observers: 0, seenAt: [], isFirewalled: undefined };
  t.match(judgeReach(plan, nobody), { verdict: 'fail', value: '10.0.0.1:49737 does not answer' });
  t.match(judgeReach(plan, { ...nobody, nodes: 2 }), { value: /though 2 nodes are known/ });
  t.match(judgeReach({ ...plan, bootstrap: undefined }, nobody), {
    verdict: 'warn',
    value: 'no public node answers',
  });
});

t.test('a mesh for this machine alone does not ask elsewhere', async (t) => {
  const plan: ReachPlan = { host: '127.0.0.1', bootstrap: ['127.0.0.1:1', '[::1]:2'], isOtherPort: false };
  t.equal(judgeReachPlan(plan), undefined);
  t.equal(judgeReachPlan({ ...plan, host: '0.0.0.0', bootstrap: undefined }), undefined);
  t.match(judgeReachPlan({ ...plan, bootstrap: undefined }), {
    verdict: 'warn',
    advice: /mesh\.host to 0\.0\.0\.0/,
  });
  t.match(judgeReachPlan({ ...plan, bootstrap: ['10.0.0.1:1'] }), { verdict: 'warn' });
});

t.test('a peer connects, or is told why not', async (t) => {
  t.match(judgePeer('a:1', { tookMs: 1.26 }), { check: 'peer a:1', verdict: 'ok', value: /in 1\.3 ms/ });
  t.match(judgePeer('a:1', { tookMs: 126.1 }), { value: /in 126 ms/ });
  t.match(judgePeer('a:1', { failure: 'no route to a:1' }), { verdict: 'fail', value: 'no route to a:1' });
});

t.test('a folder is in a mesh, in none, or cannot be', async (t) => {
  const none: MeshSeen = {
    ...{ keyPath: 'k', hasKey: false, gateway: undefined, evictedFor: undefined },
    ...{ faults: [], exposed: [] },
  };
  const member = { ...none, hasKey: true, gateway: 'abababab11' };
  t.match(judgeMembership(none, undefined), {
    verdict: 'ok',
    value: 'this data folder is in none: there is no k',
  });
  t.match(judgeMembership(none, true), { verdict: 'fail', advice: /sprawl-edge join/ });
  t.match(judgeMembership(member, false), { verdict: 'skip' });
  t.match(judgeMembership(member, undefined), { verdict: 'ok', value: 'a member, gateway abababab' });
  t.match(judgeMembership({ ...member, gateway: undefined }, true), { value: /not started yet/ });
  t.match(judgeMembership({ ...member, evictedFor: 'stolen in June' }, undefined), {
    verdict: 'warn',
    value: /^gateway abababab was evicted from the mesh \(stolen in June\): /,
    advice: /sprawl-edge join --new-identity/,
  });
  t.match(judgeMembership({ ...member, evictedFor: '' }, true), { value: /from the mesh: / });
  t.match(judgeMembership({ ...member, faults: ['x is damaged'] }, true), {
    verdict: 'fail',
    value: 'x is damaged',
  });
  t.match(judgeKeyFiles(none), { verdict: 'skip' });
  t.match(judgeKeyFiles(member), { verdict: 'ok' });
  t.match(judgeKeyFiles({ ...member, exposed: ['a', 'b'] }), { verdict: 'warn', advice: /^chmod 600 a b; / });
});
