import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually } from '../support/eventually.ts'
import { failedAttempt, type Harness, LINK, MINUTE, openHarness } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

describe('When a person cancels a run', () => {
  test('then its row is written first, also if it waits for a link', async () => {
    const run = await harness.start({ status: 'completed' })
    await run.handle.cancel()
    expect(await run.ended()).toBe('Cancelled')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'Cancelled' } }])
  })

  test('then a link that arrives while its row is written gets a row, too, and the run ends', async () => {
    const late = `${LINK}2`
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')),
        updateCall: async ({ sourceUrl }) => {
          if (sourceUrl === LINK) await run.signal({ sourceUrls: [late] })
        },
      },
    )
    // An activity that is cancelled at the moment of its end would block the test server, see recording-model.ts.
    await eventually('the run to wait', () => run.hasCompleted('recordRetryWait'))
    await run.handle.cancel()
    await eventually('both rows', async () => run.conclusions.length === 2, 10_000)
    expect(await run.ended()).toBe('Cancelled')
    const cancelled = { outcome: { state: 'failed', code: 'Cancelled' } }
    expect(run.conclusions).toMatchObject([
      { sourceUrl: LINK, ...cancelled },
      { sourceUrl: late, ...cancelled },
    ])
  })
})

test('When the status of a run is queried, then it contains what the run waits for and when the next attempt starts', async () => {
  const run = await harness.start({ sourceUrls: [LINK] }, { downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')) })
  const status = await eventually('the run to wait', async () => {
    const now = await run.status()
    return now.step === 'wait' && now
  })
  expect(status).toMatchObject({
    callSid: run.callSid,
    step: 'wait',
    since: expect.any(String),
    detail: expect.stringMatching(/RecordingNotFound happened; Exotel may still be preparing the recording; next attempt at \d{4}-/),
  })
  // An activity that is cancelled at the moment of its end would block the test server, see recording-model.ts.
  await eventually('the wait to be recorded', () => run.hasCompleted('recordRetryWait'))
  await run.handle.cancel()
  await run.ended()
  expect(await run.status()).toMatchObject({ step: 'concluded', concluded: [{ sourceUrl: LINK, state: 'failed', code: 'Cancelled' }] })
})

test('When a run is cancelled after Exotel’s API named a recording, then the outcome is written to the row of that recording', async () => {
  const run = await harness.start(
    { status: 'completed' },
    {
      findRecording: async () => ({ kind: 'named', sourceUrl: LINK }),
      downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')),
    },
  )
  await harness.env.sleep(5 * MINUTE)
  await run.handle.cancel()
  expect(await run.ended()).toBe('Cancelled')
  expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'failed', code: 'Cancelled' } }])
})
