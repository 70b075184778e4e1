import usual from './jest.config.js'

/** The API against schemathesis: `npm run fuzz`. */
export default {
  ...usual,
  testMatch: ['<rootDir>/tests/fuzz/*.fuzz.ts'],
  testTimeout: 1_200_000,
  maxWorkers: 1,
}
