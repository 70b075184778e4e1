import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { iso, type Harness, MINUTE, openHarness } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

test('When Exotel refuses the details of one call for an hour, then the search fails with a code that recovery tries again', async () => {
  const startMs = await harness.env.currentTimeMs()
  let requests = 0
  const run = await harness.start(
    { status: 'completed', endedAt: iso(startMs) },
    { findRecording: async () => ((requests += 1), { kind: 'unavailable', reason: 'refused', code: 'ExotelUnauthorized' }) },
  )
  expect(await run.ended()).toBe('ExotelUnauthorized')
  expect(requests).toBe(7)
  expect(run.concludedAtMs - startMs).toBeGreaterThanOrEqual(60 * MINUTE)
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'ExotelUnauthorized', error: 'refused' } }])
})
