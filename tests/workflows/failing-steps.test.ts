// Steps beside the transfer fail: no such failure may end a run, lose its outcome or let it wait forever.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { failedAttempt, HOUR, type Harness, LINK, MINUTE, ONE_BYTE, openHarness, retriedLater } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const now = () => harness.env.currentTimeMs()

test('When PostgreSQL is unavailable for hours after an upload, then the outcome is written afterwards, without a second download', async () => {
  const until = (await now()) + 2 * HOUR
  const run = await harness.start(
    { sourceUrls: [LINK] },
    { updateCall: async () => ((await now()) < until ? Promise.reject(retriedLater('DatabaseUnavailable', 5 * MINUTE)) : undefined) },
  )
  await harness.env.sleep('3h')
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(1)
})

test('When the reason of a pause cannot be written, then the recording is requested again nevertheless', async () => {
  const startMs = await now()
  let downloads = 0
  const run = await harness.start(
    { sourceUrls: [LINK] },
    {
      downloadRecording: async () => ((downloads += 1) === 1 ? Promise.reject(failedAttempt('DownloadIncomplete')) : ONE_BYTE),
      recordRetryWait: async () =>
        (await now()) - startMs < HOUR ? Promise.reject(retriedLater('DatabaseUnavailable', MINUTE)) : undefined,
    },
  )
  await harness.untilConcluded(run)
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  expect(run.concludedAtMs - startMs).toBeLessThan(HOUR)
})

test('When the request for a pre-signed link fails with an unknown error, then the attempt is counted as a failure', async () => {
  const run = await harness.start(
    { sourceUrls: [LINK] },
    {
      downloadRecording: () => Promise.reject(failedAttempt('ExotelUnauthorized')),
      renewLink: () => Promise.reject(failedAttempt('InternalError')),
    },
  )
  expect(await run.ended()).toBe('ExotelUnavailable')
  expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'failed', code: 'ExotelUnavailable' } }])
  expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
})

test('When the files of a failed recording cannot be deleted, then the run ends after three attempts', async () => {
  let attempts = 0
  const run = await harness.start(
    { sourceUrls: [LINK] },
    {
      downloadRecording: () => Promise.reject(failedAttempt('RecordingExpired', { queue: ONE_BYTE.queue, reachedBytes: 10 })),
      discardRecording: async () => {
        attempts += 1
        if (attempts < 10) throw new Error('the disk fails')
      },
    },
  )
  expect(await run.ended()).toBe('RecordingExpired')
  expect(attempts).toBe(3)
})

test('When a recording has 6 GB, then each step of its transfer may take as long as it needs at 1 MB per second', async () => {
  const run = await harness.start({ sourceUrls: [LINK] })
  expect(await run.ended()).toBeUndefined()
  const { events } = await run.handle.fetchHistory()
  const scheduled = events!.flatMap(({ activityTaskScheduledEventAttributes: activity }) => activity ?? [])
  const steps = scheduled.filter(({ activityType }) => activityType?.name !== 'updateCall')
  expect(steps.map(({ activityType }) => activityType?.name)).toEqual(['downloadRecording', 'validateRecording', 'uploadRecording'])
  for (const { startToCloseTimeout } of steps) expect(Number(startToCloseTimeout?.seconds)).toBeGreaterThan(6 * 1024)
})
