// Several recordings of one call are transferred independently: none delays another.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually } from '../support/eventually.ts'
import {
  BUSY_SPOOL,
  failedAttempt,
  HOUR,
  iso,
  type Harness,
  LINK,
  MINUTE,
  openHarness,
  POLICY,
  retriedLater,
  type Run,
} from '../support/workflow-harness.ts'

type History = Awaited<ReturnType<Run['handle']['fetchHistory']>>

const [A, B, C] = ['A', 'B', 'C'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`) as [string, string, string]
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

test('When Exotel limits the rate for longer than an hour, then the recording does not fail', async () => {
  const began = await now()
  const run = await harness.start(
    { sourceUrls: [LINK], endedAt: iso(began) },
    {
      downloadRecording: async () =>
        (await now()) - began < 3 * HOUR ? Promise.reject(failedAttempt('ExotelRateLimited', { retryAfterMs: 5 * MINUTE })) : WHOLE,
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  expect(run.calls.filter((name) => name === 'downloadRecording').length).toBeLessThanOrEqual(3 * 12 + 1) // each pause was as long as Retry-After
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

describe('When the history of a run becomes long', () => {
  const policy = { ...POLICY, continueAsNewAfterEvents: 100 }

  test('then the next run continues with its recordings, and no signal is lost', async () => {
    const run = await harness.start(
      { sourceUrls: [A], endedAt: iso(await now()) },
      {
        downloadRecording: async ({ sourceUrl }) =>
          sourceUrl === A && run.conclusions.length < 2 ? Promise.reject(failedAttempt('RecordingNotFound')) : WHOLE,
      },
      { policy },
    )
    for (const link of [B, C]) {
      await harness.env.sleep(20 * MINUTE)
      await run.signalWithStart({ sourceUrls: [link] })
    }
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ sourceUrl }) => sourceUrl)).toEqual([B, C, A])
    const lengths = await eventsOfRuns(run)
    expect(lengths.length).toBeGreaterThan(1)
    expect(Math.max(...lengths)).toBeLessThan(150)
  })

  test('then the next run continues the count of failures', async () => {
    let downloads = 0
    const run = await harness.start(
      { sourceUrls: [A] },
      {
        downloadRecording: async () => {
          downloads += 1
          if (downloads % 2 === 1) throw failedAttempt('ExotelUnavailable')
          throw failedAttempt('DownloadIncomplete')
        },
      },
      { policy: { ...POLICY, tries: 9, continueAsNewAfterEvents: 60 } },
    )
    expect(await run.ended()).toBe('ExotelUnavailable')
    expect(downloads).toBe(9)
    expect(run.conclusions).toHaveLength(1)
    expect((await eventsOfRuns(run)).length).toBeGreaterThan(1)
  })

  test('then the next run continues a search, and does not repeat earlier requests', async () => {
    const asked: number[] = []
    const began = await now()
    const run = await harness.start(
      { status: 'completed', endedAt: iso(began), durationSeconds: 40 },
      {
        findRecording: async () => {
          asked.push(Math.round(((await now()) - began) / MINUTE))
          return { kind: 'none' }
        },
      },
      { policy: { ...POLICY, continueAsNewAfterEvents: 40 } },
    )
    expect(await run.ended()).toBe('RecordingMissing') // only the first run received the duration of the call
    expect(run.conclusions).toMatchObject([{ outcome: { error: 'The call lasted 40 s, and Exotel has no recording of it' } }])
    expect((await eventsOfRuns(run)).length).toBeGreaterThan(1)
    expect(new Set(asked)).toEqual(new Set([1, 2, 5, 10, 15, 30, 60]))
  })

  test('then a transfer in progress is not interrupted', async () => {
    const downloads: string[] = []
    const began = await now()
    const run = await harness.start(
      { sourceUrls: [A, B], endedAt: iso(began) },
      {
        downloadRecording: async ({ sourceUrl }) => {
          downloads.push(sourceUrl)
          if (sourceUrl === B && (await now()) - began < 10 * MINUTE) throw failedAttempt('RecordingNotFound')
          return WHOLE
        },
        uploadRecording: async () =>
          (await now()) - began < 12 * MINUTE
            ? Promise.reject(retriedLater('StorageUnavailable', MINUTE))
            : { bucket: 'b', key: 'k', url: 'u' },
      },
      { policy: { ...policy, continueAsNewAfterEvents: 60 } },
    )
    expect(await run.ended()).toBeUndefined()
    expect(downloads.filter((link) => link === A)).toHaveLength(1)
    expect(run.conclusions).toHaveLength(2)
    expect(Math.max(...(await eventsOfRuns(run)))).toBeGreaterThan(60)
  })

  test('then a run that is cancelled also writes its row', async () => {
    const run = await harness.start(
      { sourceUrls: [A], endedAt: iso(await now()) },
      { downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')) },
      { policy },
    )
    await harness.env.sleep(30 * MINUTE)
    await harness.client.workflow.getHandle(`recording-${run.callSid}`).cancel()
    expect(await run.ended()).toBe('Cancelled')
    expect(run.conclusions).toMatchObject([{ sourceUrl: A, outcome: { state: 'failed', code: 'Cancelled' } }])
  })

  /** The number of events in each run of the call's workflow, from the first. */
  async function eventsOfRuns({ handle }: Run): Promise<number[]> {
    const lengths: number[] = []
    for (let runId: string | undefined = handle.signaledRunId; runId;) {
      const history: History = await harness.client.workflow.getHandle(handle.workflowId, runId).fetchHistory()
      const events = history.events ?? []
      lengths.push(events.length)
      runId = events.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined
    }
    return lengths
  }
})

test('When a task waits in the queue of a worker for longer than the limit, then the file does not count as lost while the worker has it', async () => {
  const answers = [true, true, false]
  let downloads = 0
  const run = await harness.start(
    { sourceUrls: [LINK] },
    {
      downloadRecording: async () => ({ ...WHOLE, queue: (downloads += 1) === 1 ? BUSY_SPOOL : 'spool-lab' }),
      checkSpool: async () => answers.shift()!,
    },
    { policy: { ...POLICY, spoolLostAfterMs: 1000 } },
  )
  await harness.untilConcluded(run)
  expect(await run.ended()).toBeUndefined()
  expect(answers).toEqual([])
  expect(downloads).toBe(2)
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

test('When Exotel’s API is unavailable for hours, then one request follows, not one for each time that has passed', async () => {
  const began = await now()
  let asked = 0
  const run = await harness.start(
    { status: 'completed', endedAt: iso(began) },
    {
      findRecording: async () => {
        if ((await now()) - began < 2 * HOUR) throw retriedLater('ExotelCredentialsRefused', 5 * MINUTE)
        asked += 1
        return { kind: 'none', durationSeconds: 3 }
      },
    },
  )
  await harness.env.sleep('3h')
  expect(await run.ended()).toBeUndefined()
  expect(asked).toBe(1)
})
