// Several recordings of one call are transferred independently: none delays another.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually } from '../support/eventually.ts'
import { failedAttempt, HOUR, iso, type Harness, LINK, MINUTE, openHarness } from '../support/workflow-harness.ts'

const [A, B] = ['A', 'B'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`) as [string, string]
const WHOLE = { queue: 'spool-lab', file: 'f', bytes: 10, sha256: 'a'.repeat(64) }

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const now = () => harness.env.currentTimeMs()

describe('When one recording of a call is late', () => {
  test.each([
    ['is not available yet', failedAttempt('RecordingNotFound')],
    ['is rate limited', failedAttempt('ExotelRateLimited', { retryAfterMs: 15 * MINUTE })],
    ['cannot be downloaded completely', failedAttempt('DownloadIncomplete')],
  ])('because it %s, then another one whose link arrives meanwhile is stored at once', async (_, failure) => {
    const began = await now()
    const run = await harness.start(
      { sourceUrls: [A], endedAt: iso(began) },
      {
        downloadRecording: async ({ sourceUrl }) =>
          sourceUrl === A && !run.conclusions.some((each) => each.sourceUrl === B) ? Promise.reject(failure) : WHOLE,
      },
    )
    await harness.env.sleep(5000)
    await run.signal({ sourceUrls: [B] })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ sourceUrl }) => sourceUrl)).toEqual([B, A])
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }, { outcome: { state: 'stored' } }])
  })

  test('then each row contains what its own recording waits for', async () => {
    const waits: (string | undefined)[] = []
    const failures = new Map([
      [A, 'RecordingNotFound'],
      [B, 'DownloadIncomplete'],
    ])
    const run = await harness.start(
      { sourceUrls: [A, B] },
      {
        downloadRecording: async ({ sourceUrl }) => {
          const code = failures.get(sourceUrl)
          failures.delete(sourceUrl)
          return code ? Promise.reject(failedAttempt(code)) : WHOLE
        },
        recordRetryWait: async ({ sourceUrl, reason }) => void waits.push(`${sourceUrl} ${reason?.code}`),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(waits.toSorted()).toEqual([`${A} RecordingNotFound`, `${B} DownloadIncomplete`])
  })
})

test('When a call has many recordings, then four are transferred at a time, and one that waits holds no slot', async () => {
  const links = Array.from({ length: 9 }, (_, index) => `${LINK}${index}`)
  const late = new Set(links.slice(0, 4))
  let current = 0
  let most = 0
  const run = await harness.start(
    { sourceUrls: links, endedAt: iso(await now()) },
    {
      downloadRecording: async ({ sourceUrl }) => {
        current += 1
        most = Math.max(most, current)
        await new Promise((resolve) => setImmediate(resolve))
        current -= 1
        const stored = run.conclusions.length
        return late.has(sourceUrl) && stored < 5 ? Promise.reject(failedAttempt('RecordingNotFound')) : WHOLE
      },
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toHaveLength(9)
  expect(run.conclusions.slice(0, 5).every(({ sourceUrl }) => !late.has(sourceUrl!))).toBe(true)
  expect(most).toBeLessThanOrEqual(4)
})

describe('When recovery enqueues a failed recording while another one keeps the run open', () => {
  test('then it is transferred in that run', async () => {
    let firstOfB = true
    const run = await harness.start(
      { sourceUrls: [A, B], endedAt: iso(await now()) },
      {
        downloadRecording: async ({ sourceUrl }) => {
          if (sourceUrl === A && run.conclusions.length < 2) throw failedAttempt('RecordingNotFound')
          if (sourceUrl === B && firstOfB) throw failedAttempt('RecordingExpired')
          return WHOLE
        },
      },
    )
    await harness.env.sleep(15 * MINUTE)
    expect(run.conclusions).toMatchObject([{ sourceUrl: B, outcome: { state: 'failed' } }])
    firstOfB = false
    await run.signalWithStart({ sourceUrls: [B], recovery: true })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ sourceUrl, outcome }) => `${sourceUrl} ${outcome.state}`)).toEqual([
      `${B} failed`,
      `${B} stored`,
      `${A} stored`,
    ])
  })

  test('then a recording that this run has stored is transferred again if its object is missing', async () => {
    const run = await harness.start(
      { sourceUrls: [A, B], endedAt: iso(await now()) },
      {
        downloadRecording: async ({ sourceUrl }) =>
          sourceUrl === A && run.conclusions.length < 2 ? Promise.reject(failedAttempt('RecordingNotFound')) : WHOLE,
      },
    )
    await harness.env.sleep(15 * MINUTE)
    expect(run.conclusions).toMatchObject([{ sourceUrl: B, outcome: { state: 'stored' } }])
    await run.signalWithStart({ sourceUrls: [B] })
    await harness.env.sleep(MINUTE)
    expect(run.conclusions).toHaveLength(1) // a repeated webhook starts no transfer
    await run.signalWithStart({ sourceUrls: [B], recovery: true })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ sourceUrl }) => sourceUrl)).toEqual([B, B, A])
  })

  test('then a recording that is being transferred is not transferred a second time', async () => {
    const run = await harness.start(
      { sourceUrls: [A], endedAt: iso((await now()) - HOUR) },
      { downloadRecording: () => Promise.reject(failedAttempt('ExotelUnavailable')) },
    )
    await harness.env.sleep(5000)
    await run.signalWithStart({ sourceUrls: [A], recovery: true })
    expect(await run.ended()).toBe('ExotelUnavailable')
    expect(run.conclusions).toHaveLength(1)
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
  })
})

test('When Exotel’s API names a recording while a webhook names another one, then both are transferred', async () => {
  const run = await harness.start(
    { status: 'completed', endedAt: iso(await now()) },
    {
      findRecording: async () => {
        await run.signal({ sourceUrls: [A] })
        // This response arrives after the run has started to transfer A.
        await eventually('the transfer of A to start', async () => run.calls.includes('downloadRecording'))
        return { kind: 'named', sourceUrl: B }
      },
      // A request that is cancelled at the moment of its response would block the test server, see tests/support/recording-model.ts.
      downloadRecording: async () => {
        await eventually('the response to be in the history', () => run.hasCompleted('findRecording'))
        return WHOLE
      },
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions.map(({ sourceUrl }) => sourceUrl).toSorted()).toEqual([A, B])
})

test('When Exotel’s API names a recording that is already being transferred, then it is transferred once', async () => {
  const run = await harness.start(
    { status: 'completed', endedAt: iso(await now()) },
    {
      findRecording: async () => {
        await run.signal({ sourceUrls: [A] })
        await eventually('the transfer of A to start', async () => run.calls.includes('downloadRecording'))
        return { kind: 'named', sourceUrl: A }
      },
      downloadRecording: async () => {
        await eventually('the response to be in the history', () => run.hasCompleted('findRecording'))
        return WHOLE
      },
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(1)
})
