/** The direction of the folders, held by `npm run check`. */
module.exports = {
  forbidden: [
    {
      name: 'no-circular-value',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'siblings-are-strangers',
      comment:
        'storage, mesh, bridge and models meet in lib/contracts; lib/gateway.ts alone puts them together',
      severity: 'error',
      from: { path: '^(storage|mesh|bridge|models)/' },
      to: { path: '^(storage|mesh|bridge|models)/', pathNot: '^$1/' },
    },
    {
      name: 'lib-knows-no-implementation',
      severity: 'error',
      from: {
        path: '^lib/',
        pathNot:
          '^lib/(archive-tools|archive-restore|gateway|gateway-archive|gateway-mesh|gateway-(relay|standby)|embedded|storage-tools|mesh-tools)\\.ts$',
      },
      to: { path: '^(storage|mesh|bridge|models)/' },
    },
    {
      name: 'storage-knows-contracts',
      severity: 'error',
      from: { path: '^storage/' },
      to: { path: '^lib/', pathNot: '^lib/(contracts|message|protocol|routing)/' },
    },
    {
      name: 'bridge-knows-contracts',
      severity: 'error',
      from: { path: '^bridge/' },
      to: { path: '^lib/', pathNot: '^lib/(contracts|message|protocol)/' },
    },
    {
      name: 'production-never-imports-test',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'history-knows-no-broker',
      comment: 'who judges the broker shares no code with it; its tests compare the two',
      severity: 'error',
      from: { path: '^test/history/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(lib|storage|mesh|bridge|models)/' },
    },
    {
      name: 'cores-do-no-io',
      comment: 'what decides takes clock, transport and store as arguments',
      severity: 'error',
      from: { path: '^lib/(protocol|routing|message|session|delivery|ingest)/' },
      to: { dependencyTypes: ['core'], pathNot: '^(buffer)$' },
    },
    {
      name: 'sockets-at-the-edge',
      severity: 'error',
      from: {
        path: '^(lib|storage|models)/',
        pathNot:
          '^lib/(listeners\\.ts|arrivals\\.ts|tls-files\\.ts|gateway\\.ts|http/|cli/|config/|broker/|connection/socket-transport\\.ts|security/login-throttle\\.ts)',
      },
      to: { dependencyTypes: ['core'], path: '^(net|tls|http|https|dgram)$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    exclude: { path: '^dist/' },
  },
};
