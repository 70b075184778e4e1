import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { failedAttempt, type Harness, LINK, openHarness } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

describe('When a call has several recordings', () => {
  test('then each is transferred once, and the run fails if one is missing, although another is stored', async () => {
    const [a, b] = [`${LINK}a`, `${LINK}b`]
    const run = await harness.start(
      { sourceUrls: [a, b, a] },
      {
        downloadRecording: async ({ sourceUrl }) =>
          sourceUrl === b ? Promise.reject(failedAttempt('RecordingExpired')) : { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' },
      },
    )
    await run.signal({ sourceUrls: [a] })
    expect(await run.ended()).toBe('RecordingExpired')
    expect(run.conclusions.map(({ sourceUrl, outcome }) => `${sourceUrl} ${outcome.state}`).toSorted()).toEqual([
      `${a} stored`,
      `${b} failed`,
    ])
  })
})

test('When an event contains a link again while its failure is being written, then it is transferred again in the same run', async () => {
  let written = 0
  const run = await harness.start(
    { sourceUrls: [LINK] },
    {
      downloadRecording: async () =>
        written === 0 ? Promise.reject(failedAttempt('RecordingExpired')) : { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' },
      updateCall: async () => {
        written += 1
        if (written === 1) await run.signal({ sourceUrls: [LINK] })
      },
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['failed', 'stored'])
})

test('When a link arrives while the failure of the search is being written, then its recording is stored, and the run does not fail', async () => {
  const run = await harness.start(
    { status: 'completed', durationSeconds: 40 },
    {
      updateCall: async ({ sourceUrl }) => {
        if (sourceUrl === undefined) await run.signal({ sourceUrls: [LINK] })
      },
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ outcome: { code: 'RecordingMissing' } }, { sourceUrl: LINK, outcome: { state: 'stored' } }])
  expect((await run.status()).concluded).toMatchObject([{ sourceUrl: LINK, state: 'stored' }])
})
