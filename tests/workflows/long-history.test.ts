// A run whose history becomes long continues as new.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { failedAttempt, iso, type Harness, MINUTE, openHarness, POLICY, retriedLater, type Run } from '../support/workflow-harness.ts'

type History = Awaited<ReturnType<Run['handle']['fetchHistory']>>

const [A, B, C] = ['A', 'B', 'C'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`) as [string, string, string]
const WHOLE = { queue: 'spool-lab', file: 'f', bytes: 10, sha256: 'a'.repeat(64) }

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const now = () => harness.env.currentTimeMs()

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

  test('then the next run knows which recordings have failed and which are stored', async () => {
    let isReady = false
    const run = await harness.start(
      { sourceUrls: [A, B, C], endedAt: iso(await now()) },
      {
        downloadRecording: async ({ sourceUrl }) => {
          if (sourceUrl === A && !isReady) throw failedAttempt('RecordingNotFound')
          if (sourceUrl === C) throw failedAttempt('RecordingExpired')
          return WHOLE
        },
      },
      { policy },
    )
    await harness.env.sleep(30 * MINUTE)
    expect((await eventsOfRuns(run)).length).toBeGreaterThan(1)
    await run.signalWithStart({ sourceUrls: [B] }) // a repeated webhook of a recording that the first run has stored
    await harness.env.sleep(MINUTE)
    isReady = true
    expect(await run.ended()).toBe('RecordingExpired')
    expect(run.conclusions.map(({ sourceUrl, outcome }) => `${sourceUrl} ${outcome.state}`).toSorted()).toEqual([
      `${A} stored`,
      `${B} stored`,
      `${C} failed`,
    ])
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
