import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { iso, type Lab, MINUTE, openLab } from '../support/workflow-lab.ts'

let lab: Lab
beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab?.close())

test('When Exotel refuses the details of one call for an hour, then the search fails with a code that recovery tries again', async () => {
  const startMs = await lab.env.currentTimeMs()
  let requests = 0
  const run = await lab.start(
    { status: 'completed', endedAt: iso(startMs) },
    { findRecording: async () => ((requests += 1), { kind: 'unavailable', reason: 'refused', code: 'ExotelUnauthorized' }) },
  )
  expect(await run.ended()).toBe('ExotelUnauthorized')
  expect(requests).toBe(7)
  expect(run.concludedAtMs - startMs).toBeGreaterThanOrEqual(60 * MINUTE)
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'ExotelUnauthorized', error: 'refused' } }])
})
