import { afterAll, beforeAll, test } from '@jest/globals'
import fc from 'fast-check'
import type { Database } from '../../platform/database.ts'
import { histories, play } from '../support/recording-model.ts'
import { openDatabase } from '../support/servers.ts'
import { openHarness, type Harness } from '../support/workflow-harness.ts'

/** `npm run test:heavy` runs more histories. */
const RUNS = Number(process.env.MODEL_RUNS ?? 30)

let harness: Harness
let database: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, close } = await openDatabase())
  harness = await openHarness()
})
afterAll(async () => {
  await harness?.close()
  await close?.()
})

test(`When anything happens in any order (${RUNS} histories), then every recording ends in the correct state, and no file is left in the spool`, async () => {
  await fc.assert(
    fc.asyncProperty(histories, (history) => play(harness, database, history)),
    {
      numRuns: RUNS,
      endOnFailure: true,
      timeout: 60_000, // real time; a longer run waits forever
    },
  )
}, 1_200_000)
