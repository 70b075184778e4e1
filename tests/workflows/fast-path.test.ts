// The fast path transfers a recording in one local activity. Whatever it does not finish continues with activities at that step.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Outcome, Verdict } from '../../contracts/recording.ts'
import { failedAttempt, type Harness, iso, LINK, MINUTE, ONE_BYTE, openHarness, POLICY, type Script } from '../support/workflow-harness.ts'

const FAST = { policy: { ...POLICY, fastPathMaxBytes: 1000 } }
const AUDIO = { contentType: 'audio/mpeg', extension: 'mp3' }
const GOOD: Verdict = { kind: 'good', etag: 'e', audio: AUDIO }
const OBJECT = { bucket: 'b', key: 'k', url: 'u' }
const STORED: Outcome = { state: 'stored', ...OBJECT, bytes: 1, sha256: 'a', audio: AUDIO }
const DURABLE = ['downloadRecording', 'validateRecording', 'uploadRecording', 'updateCall']

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const start = (fastTransfer: Script['fastTransfer'], rest: Script = {}) =>
  harness.start({ sourceUrls: [LINK] }, { ...rest, ...(fastTransfer && { fastTransfer }) }, FAST)

test('When the fast path concludes a recording, then no other activity runs, and the run is one workflow task', async () => {
  const run = await start(async () => ({ kind: 'concluded', outcome: STORED }))
  expect(await run.ended()).toBeUndefined()
  expect(run.calls).toEqual(['fastTransfer'])
  expect((await run.status()).concluded).toMatchObject([{ sourceUrl: LINK, state: 'stored' }])
  const { events } = await run.handle.fetchHistory()
  expect(events!.filter(({ workflowTaskScheduledEventAttributes: task }) => task)).toHaveLength(1)
})

describe('When the fast path stops, then the durable path continues at that step:', () => {
  const stopped = { kind: 'unfinished', reason: 'slow', queue: ONE_BYTE.queue } as const
  test.each([
    ['before the download', { ...stopped }, DURABLE],
    ['after the download', { ...stopped, spooled: ONE_BYTE }, DURABLE.slice(1)],
    ['after the validation', { ...stopped, spooled: ONE_BYTE, verdict: GOOD }, DURABLE.slice(2)],
    ['after the upload', { ...stopped, spooled: ONE_BYTE, verdict: GOOD, stored: OBJECT }, DURABLE.slice(3)],
  ])('%s', async (_when, result, expected) => {
    const run = await start(async () => result)
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name !== 'fastTransfer' && name !== 'discardRecording')).toEqual(expected)
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
  })

  test('a file that is not a recording is downloaded again', async () => {
    const run = await start(async () => ({ ...stopped, spooled: ONE_BYTE, verdict: { kind: 'refused', reason: 'a page' } }))
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(1)
  })
})

test('When the durable path writes an outcome, then it has the identity that the fast path had for it', async () => {
  const ids: string[] = []
  const run = await start(async ({ conclusionId }) => {
    ids.push(conclusionId)
    return { kind: 'unfinished', reason: 'slow', spooled: ONE_BYTE, verdict: GOOD, stored: OBJECT }
  })
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions.map(({ id }) => id)).toEqual(ids)
})

test('When Exotel does not have the recording yet, then the fast path waits as the durable one, and then tries again', async () => {
  const startMs = await harness.env.currentTimeMs()
  const attemptsMs: number[] = []
  const run = await harness.start(
    { sourceUrls: [LINK], endedAt: iso(startMs) },
    {
      fastTransfer: async () => {
        // After the end of the run, the server may skip years.
        attemptsMs.push(await harness.env.currentTimeMs())
        if (attemptsMs.length < 3) throw failedAttempt('RecordingNotFound')
        return { kind: 'concluded', outcome: STORED }
      },
    },
    FAST,
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.calls.filter((name) => DURABLE.includes(name))).toEqual([])
  expect(attemptsMs).toHaveLength(3)
  expect(attemptsMs[2]! - startMs).toBeLessThan(5 * MINUTE)
})

test('When the fast path fails for a reason of our own, then the durable path downloads the recording', async () => {
  const run = await start(async () => {
    throw failedAttempt('InternalError')
  })
  expect(await run.ended()).toBeUndefined()
  expect(run.calls).toEqual(expect.arrayContaining(['fastTransfer', ...DURABLE]))
})

test('When an attempt has failed, then the next one takes the durable path', async () => {
  const run = await start(async () => {
    throw failedAttempt('ExotelUnavailable')
  })
  expect(await run.ended()).toBeUndefined()
  expect(run.calls.filter((name) => name === 'fastTransfer')).toHaveLength(1)
  expect(run.calls).toEqual(expect.arrayContaining(DURABLE))
})

test('When a link arrives by a signal while the fast path transfers another one, then both are stored', async () => {
  const OTHER = `${LINK}?other`
  let isSignalled = false // Temporal repeats the workflow task, and so the local activity, if a signal arrived
  const run = await start(async () => {
    if (!isSignalled) await run.signal({ sourceUrls: [OTHER] })
    isSignalled = true
    return { kind: 'concluded', outcome: STORED }
  })
  expect(await run.ended()).toBeUndefined()
  expect((await run.status()).concluded.map(({ sourceUrl }) => sourceUrl).toSorted()).toEqual([LINK, OTHER])
})

test('When a call has two recordings, then one of them takes the fast path, and the other one the durable path', async () => {
  const run = await harness.start(
    { sourceUrls: [LINK, `${LINK}?other`] },
    { fastTransfer: async () => ({ kind: 'concluded', outcome: STORED }) },
    FAST,
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.calls.filter((name) => name !== 'discardRecording').toSorted()).toEqual([...DURABLE, 'fastTransfer'].toSorted())
})

test('When the setting is 0, then every step is an activity', async () => {
  const run = await harness.start({ sourceUrls: [LINK] })
  expect(await run.ended()).toBeUndefined()
  expect(run.calls).not.toContain('fastTransfer')
})
