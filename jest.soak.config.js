import usual from './jest.config.js'

/** Ten minutes of everything, and whether anything piles up: `npm run soak`. Figures go into docs/measurements.md. */
export default {
  ...usual,
  testMatch: ['<rootDir>/tests/soak/*.soak.ts'],
  testTimeout: 3_600_000,
  maxWorkers: 1,
}
