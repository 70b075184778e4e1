import usual from './jest.config.js'

const { globalSetup: _servers, globalTeardown: _end, ...withoutServers } = usual

/** Tests of pure modules, without servers and without a build: tests/mutants/pure.ts repeats them for each mutant. */
export default {
  ...withoutServers,
  testMatch: ['<rootDir>/tests/unit/*.test.ts'],
  testSequencer: '<rootDir>/tests/mutants/listed-order.js',
  maxWorkers: 1,
}
