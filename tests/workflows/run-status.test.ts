// What operators see of a run: the query `status`, and the search attributes in Temporal's Web UI.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { FAILURE_CODE_ATTRIBUTE, RECORDING_STATE_ATTRIBUTE } from '../../contracts/names.ts'
import { eventually } from '../support/eventually.ts'
import { failedAttempt, iso, type Harness, ONE_BYTE, openHarness, type Run } from '../support/workflow-harness.ts'

const [A, B] = ['A', 'B'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`) as [string, string]

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

/** The values of both search attributes after each conclusion. */
async function attributesOf({ handle }: Run): Promise<unknown[][]> {
  const { events } = await handle.fetchHistory()
  return events!.flatMap(({ upsertWorkflowSearchAttributesEventAttributes: upserted }) => {
    const fields = upserted?.searchAttributes?.indexedFields
    if (!fields) return []
    const valueOf = (name: string): unknown => JSON.parse(Buffer.from(fields[name]!.data!).toString())
    return [[valueOf(RECORDING_STATE_ATTRIBUTE), valueOf(FAILURE_CODE_ATTRIBUTE)]]
  })
}

test('When one recording of a call waits and another one is stored, then the status lists only the first as in progress', async () => {
  let isReady = false
  const run = await harness.start(
    { sourceUrls: [A, B], endedAt: iso(await harness.env.currentTimeMs()) },
    {
      downloadRecording: async ({ sourceUrl }) =>
        sourceUrl === A && !isReady ? Promise.reject(failedAttempt('RecordingNotFound')) : ONE_BYTE,
    },
  )
  const status = await eventually('A to wait and B to be stored', async () => {
    const current = await run.status()
    return current.concluded.length === 1 && current.inProgress.every(({ step }) => step === 'wait') && current
  })
  const detail: unknown = expect.stringContaining('RecordingNotFound happened')
  expect(status.inProgress).toEqual([{ sourceUrl: A, step: 'wait', since: expect.any(String), detail }])
  expect(status.concluded).toEqual([{ sourceUrl: B, state: 'stored' }])
  isReady = true
  expect(await run.ended()).toBeUndefined()
  expect(await run.status()).toMatchObject({ step: 'concluded', inProgress: [] })
})

test('When one recording of a call has failed and another one is stored later, then the search attributes still show the failure', async () => {
  const run = await harness.start(
    { sourceUrls: [A, B] },
    {
      downloadRecording: async ({ sourceUrl }) => {
        if (sourceUrl === B) throw failedAttempt('RecordingExpired')
        return run.conclusions.length === 0 ? Promise.reject(failedAttempt('ExotelRateLimited')) : ONE_BYTE
      },
    },
  )
  expect(await run.ended()).toBe('RecordingExpired')
  expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['failed', 'stored'])
  expect(await attributesOf(run)).toEqual([
    ['failed', 'RecordingExpired'],
    ['failed', 'RecordingExpired'],
  ])
})

test('When a failed recording is stored in the same run, then the search attributes show no failure any more', async () => {
  const run = await harness.start(
    { sourceUrls: [A] },
    {
      downloadRecording: async () => (run.conclusions.length === 0 ? Promise.reject(failedAttempt('RecordingExpired')) : ONE_BYTE),
      updateCall: async ({ outcome }) => {
        if (outcome.state === 'failed') await run.signal({ sourceUrls: [A] })
      },
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(await attributesOf(run)).toEqual([
    ['failed', 'RecordingExpired'],
    ['stored', null],
  ])
})
