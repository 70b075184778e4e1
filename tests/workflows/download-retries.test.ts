// Which failures of a download are retried, when, and how often.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Context } from '@temporalio/activity'
import type { RetryWait } from '../../contracts/recording.ts'
import { failedAttempt, HOUR, iso, type Harness, LINK, MINUTE, ONE_BYTE, openHarness } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const now = () => harness.env.currentTimeMs()

describe('When Exotel does not have the recording yet', () => {
  const notFound = () => Promise.reject(failedAttempt('RecordingNotFound'))

  test('then a 404 within an hour of the call’s end is not counted as a failure', async () => {
    const startMs = await now()
    const run = await harness.start(
      { sourceUrls: [LINK], endedAt: iso(startMs) },
      {
        downloadRecording: async () =>
          (await now()) - startMs < 55 * MINUTE ? notFound() : { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then three attempts are made after the hour', async () => {
    const startMs = await now()
    const run = await harness.start({ sourceUrls: [LINK], endedAt: iso(startMs) }, { downloadRecording: notFound })
    expect(await run.ended()).toBe('RecordingNotFound')
    expect(run.concludedAtMs - startMs).toBeGreaterThan(60 * MINUTE)
    expect(run.concludedAtMs - startMs).toBeLessThan(70 * MINUTE)
  })

  test('then the workflow waits for five hours if the end of the call is unknown or not plausible', async () => {
    for (const endedAt of [undefined, iso((await now()) + 40 * HOUR)]) {
      const startMs = await now()
      const run = await harness.start({ sourceUrls: [LINK], ...(endedAt && { endedAt }) }, { downloadRecording: notFound })
      expect(await run.ended()).toBe('RecordingNotFound')
      expect(run.concludedAtMs - startMs).toBeGreaterThan(5 * HOUR)
    }
  })
})

describe('When Exotel refuses a recording or sends no bytes while it may still be preparing it', () => {
  const WHOLE = ONE_BYTE
  const EMPTY = { ...WHOLE, bytes: 0 }
  const refused = () => Promise.reject(failedAttempt('ExotelUnauthorized'))
  const untilMinute = (startMs: number, minutes: number) => async () => (await now()) - startMs < minutes * MINUTE

  test.each(['refused', 'renewed'] as const)('then a refusal within the hour is not counted as a failure (access %s)', async (access) => {
    const startMs = await now()
    const isEarly = untilMinute(startMs, 50)
    const run = await harness.start(
      { sourceUrls: [LINK], endedAt: iso(startMs) },
      { downloadRecording: async () => ((await isEarly()) ? refused() : WHOLE), renewLink: async () => ({ kind: access }) },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
    expect(run.calls.filter((name) => name === 'renewLink').length).toBeLessThan(15)
  })

  test('then a refusal after the hour is final', async () => {
    const startMs = await now()
    const run = await harness.start(
      { sourceUrls: [LINK], endedAt: iso(startMs) },
      { downloadRecording: refused, renewLink: async () => ({ kind: 'refused' }) },
    )
    expect(await run.ended()).toBe('ExotelUnauthorized')
    expect(run.concludedAtMs - startMs).toBeGreaterThan(60 * MINUTE)
    expect(run.concludedAtMs - startMs).toBeLessThan(75 * MINUTE)
  })

  test('then an empty file within the hour is not counted as a failure', async () => {
    const startMs = await now()
    const isEarly = untilMinute(startMs, 55)
    const run = await harness.start(
      { sourceUrls: [LINK], endedAt: iso(startMs) },
      {
        downloadRecording: async () => ((await isEarly()) ? EMPTY : WHOLE),
        validateRecording: async ({ spooled }) =>
          spooled.bytes === 0
            ? { kind: 'refused', reason: 'The file is empty' }
            : { kind: 'good', etag: 'e', audio: { contentType: 'audio/mpeg', extension: 'mp3' } },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then a file that is empty after the hour is downloaded three times', async () => {
    const run = await harness.start(
      { sourceUrls: [LINK], endedAt: iso((await now()) - HOUR) },
      { downloadRecording: async () => EMPTY, validateRecording: async () => ({ kind: 'refused', reason: 'The file is empty' }) },
    )
    expect(await run.ended()).toBe('RecordingInvalid')
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
  })
})

describe('When attempts fail', () => {
  test.each(['ExotelUnavailable', 'DownloadIncomplete'])('then the recording has failed after three attempts with %s', async (code) => {
    const run = await harness.start(
      { sourceUrls: [LINK] },
      { downloadRecording: () => Promise.reject(failedAttempt(code, { queue: 'spool-lab', reachedBytes: 10 })) },
    )
    expect(await run.ended()).toBe(code)
    const pause = ['downloadRecording', 'recordRetryWait']
    expect(run.calls).toEqual([...pause, ...pause, 'downloadRecording', 'keepIncomplete', 'updateCall', 'discardRecording'])
  })

  test('then the reason and the end of each pause are written to the row, and the run continues if the database is unavailable', async () => {
    const waits: RetryWait[] = []
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: () => Promise.reject(failedAttempt('DownloadIncomplete')),
        recordRetryWait: async (wait) => {
          waits.push(wait)
          if (waits.length === 2) throw new Error('the database is unavailable')
        },
      },
    )
    const startMs = await now()
    expect(await run.ended()).toBe('DownloadIncomplete')
    expect(waits[0]).toMatchObject({ sourceUrl: LINK, reason: { code: 'DownloadIncomplete', error: 'DownloadIncomplete happened' } })
    expect(Date.parse(waits[0]!.nextTryAt) - startMs).toBeGreaterThan(9000)
  })

  test('then a download that can be resumed runs on the worker that has its part, any other one on any worker, and the remaining parts are deleted', async () => {
    const queues: string[] = []
    const discardedOn: string[] = []
    const parts = [
      { queue: 'spool-lab', reachedBytes: 2 * 1024 ** 2, resumableBytes: 2 * 1024 ** 2 },
      { queue: 'spool-other', reachedBytes: 4 * 1024 ** 2, resumableBytes: 0 },
    ]
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => {
          queues.push(Context.current().info.taskQueue)
          const part = parts.shift()
          if (part) throw failedAttempt('DownloadIncomplete', part)
          return { queue: 'spool-third', file: 'f', bytes: 10, sha256: 'a' }
        },
        discardRecording: async () => void discardedOn.push(Context.current().info.taskQueue),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(queues).toEqual(['downloads', 'spool-lab-downloads', 'downloads'])
    expect(discardedOn.toSorted()).toEqual(['spool-lab-control', 'spool-other-control'])
  })

  test('then the recording fails after a day if its spool file is lost in each attempt', async () => {
    const startMs = await now()
    const run = await harness.start({ sourceUrls: [LINK] }, { validateRecording: () => Promise.reject(failedAttempt('SpoolFileLost')) })
    expect(await run.ended()).toBe('InternalError')
    expect(run.concludedAtMs - startMs).toBeGreaterThan(24 * HOUR)
  })

  test.each(['RecordingExpired', 'RecordingTooLarge', 'RecordingUrlRefused', 'RecordingHostNotAllowed'])(
    'then %s is final at once',
    async (code) => {
      const run = await harness.start({ sourceUrls: [LINK] }, { downloadRecording: () => Promise.reject(failedAttempt(code)) })
      expect(await run.ended()).toBe(code)
      expect(run.calls).toEqual(['downloadRecording', 'updateCall'])
    },
  )

  test('then a recording is downloaded three times if Exotel sends a page instead of audio', async () => {
    const run = await harness.start(
      { sourceUrls: [LINK] },
      { validateRecording: async () => ({ kind: 'refused', reason: 'an HTML page' }) },
    )
    expect(await run.ended()).toBe('RecordingInvalid')
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
  })

  test('then an attempt that downloads 1 MB more resets the count of failures: 12 interruptions of a large file are no failure', async () => {
    let reachedBytes = 0
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => {
          reachedBytes += 100 * 1024 ** 2
          if (reachedBytes <= 1200 * 1024 ** 2) throw failedAttempt('DownloadIncomplete', { reachedBytes })
          return { queue: 'spool-lab', file: 'f', bytes: reachedBytes, sha256: 'a' }
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(13)
  })

  test('then the pause is as long as Retry-After says', async () => {
    const times: number[] = []
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => (
          times.push(await now()),
          Promise.reject(failedAttempt('ExotelUnavailable', { retryAfterMs: 13 * MINUTE }))
        ),
      },
    )
    await run.ended()
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(13 * MINUTE)
  })

  test('then a refused recording is requested once more with a pre-signed link', async () => {
    let renewed = false
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () =>
          renewed ? { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' } : Promise.reject(failedAttempt('ExotelUnauthorized')),
        renewLink: async () => ((renewed = true), { kind: 'renewed' }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    const refused = await harness.start(
      { sourceUrls: [LINK], endedAt: iso((await now()) - HOUR) },
      { downloadRecording: () => Promise.reject(failedAttempt('ExotelUnauthorized')), renewLink: async () => ({ kind: 'renewed' }) },
    )
    expect(await refused.ended()).toBe('ExotelUnauthorized')
    expect(refused.calls.filter((name) => name === 'downloadRecording')).toHaveLength(2)
  })
})

test('When Exotel’s API does not respond to the request for a pre-signed link, then the attempt is counted as a failure', async () => {
  const run = await harness.start(
    { sourceUrls: [LINK] },
    { downloadRecording: () => Promise.reject(failedAttempt('ExotelUnauthorized')), renewLink: async () => ({ kind: 'unavailable' }) },
  )
  expect(await run.ended()).toBe('ExotelUnavailable')
  expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
})

test('When Exotel limits the rate for longer than an hour, then the recording does not fail', async () => {
  const began = await now()
  const run = await harness.start(
    { sourceUrls: [LINK], endedAt: iso(began) },
    {
      downloadRecording: async () =>
        (await now()) - began < 3 * HOUR ? Promise.reject(failedAttempt('ExotelRateLimited', { retryAfterMs: 5 * MINUTE })) : ONE_BYTE,
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  expect(run.calls.filter((name) => name === 'downloadRecording').length).toBeLessThanOrEqual(3 * 12 + 1) // each pause was as long as Retry-After
})
