/** The import rules of the house: main → app → {routes, socket, job} → service → {repo, store} → platform. */
const FEATURES =
  'auth|users|rooms|messages|presence|feed|second-me|agents-core|matrix|home|room-log|me|retention|inspect';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'contract-imports-only-zod',
      severity: 'error',
      from: { path: '^src/contract' },
      to: { pathNot: ['^src/contract', '^node_modules/zod'] },
    },
    {
      name: 'platform-knows-no-feature',
      severity: 'error',
      from: { path: '^src/platform' },
      to: { path: `^src/(${FEATURES}|app|main)`, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'features-meet-through-services',
      comment:
        'Another feature’s repo is read only within the feature; the room log’s repo is its public read side.',
      severity: 'error',
      from: { path: `^src/(${FEATURES})/` },
      to: { path: '\\.(repo|store)\\.ts$', pathNot: ['^src/$1/', '^src/room-log/log\\.repo\\.ts$'] },
    },
    {
      name: 'edges-do-not-touch-storage',
      severity: 'error',
      from: { path: '\\.(routes|socket)\\.ts$' },
      to: {
        path: '(\\.(repo|store)\\.ts$|^src/platform/(db|redis)\\.ts$)',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'services-do-not-know-their-edges',
      severity: 'error',
      from: { path: '\\.(service|repo|store)\\.ts$' },
      to: { path: '\\.(routes|socket|job)\\.ts$' },
    },
    {
      name: 'only-main-and-tests-start-the-app',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/main\\.ts$' },
      to: { path: '^src/app\\.ts$' },
    },
    {
      name: 'the-client-brings-no-server',
      comment:
        'It runs in browsers: of packages it takes the two that its users have, of the contract types alone.',
      severity: 'error',
      from: { path: '^src/client' },
      to: {
        pathNot: ['^src/client', '^node_modules/(socket\\.io-client|(@types/)?react)/'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'the-client-speaks-the-contract-alone',
      severity: 'error',
      from: { path: '^src/client' },
      to: { path: '^src/', pathNot: '^src/(client|contract)/' },
    },
    {
      name: 'no-dev-dependencies-in-production-code',
      severity: 'error',
      from: { path: '^(src|migrations|seeds)', pathNot: '^src/client' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
