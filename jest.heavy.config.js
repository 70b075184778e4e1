import usual from './jest.config.js'

/** What takes long or much disk: `npm run test:heavy`. Figures go into docs/measurements.md. */
export default {
  ...usual,
  testMatch: ['<rootDir>/tests/heavy/*.heavy.ts', '<rootDir>/tests/workflows/model.test.ts', '<rootDir>/tests/api/relay-model.test.ts'],
  testTimeout: 3_600_000,
  maxWorkers: 1,
}
