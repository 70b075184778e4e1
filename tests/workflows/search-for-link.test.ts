// The search for a recording of a call for which no event contains a link.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { CallUpdate } from '../../contracts/recording.ts'
import { failedAttempt, HOUR, iso, type Harness, LINK, MINUTE, openHarness, POLICY, retriedLater } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const now = () => harness.env.currentTimeMs()
const stored = expect.objectContaining({ state: 'stored' })

describe('When a call ends and no event contains a link', () => {
  test('then the recording of a link that arrives 15 min later is stored', async () => {
    const run = await harness.start({ status: 'completed' })
    await harness.env.sleep(15 * MINUTE + 1000)
    await run.signal({ sourceUrls: [LINK] })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ callSid: run.callSid, sourceUrl: LINK, outcome: stored }])
    expect(run.calls.filter((name) => name === 'findRecording')).toHaveLength(5)
  })

  test('then Call Details are requested 1, 2, 5, 10, 15, 30 and 60 min after the end, and the last response makes the call "not recorded"', async () => {
    const asked: number[] = []
    const announced: (string | undefined)[] = []
    const startMs = await now()
    const run = await harness.start(
      { status: 'completed', endedAt: iso(startMs) },
      {
        findRecording: async ({ nextRequestAt }) => {
          asked.push(await now())
          announced.push(nextRequestAt)
          return { kind: 'none', durationSeconds: POLICY.expectedFromSeconds - 1 }
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toEqual([{ callSid: run.callSid, outcome: { state: 'not_recorded', status: 'completed' } }])
    expect(asked.map((ms) => Math.round((ms - startMs) / MINUTE))).toEqual([1, 2, 5, 10, 15, 30, 60])
    expect(announced).toEqual([...[2, 5, 10, 15, 30, 60].map((minutes) => iso(startMs + minutes * MINUTE)), undefined])
  })

  test('then the recording of a link from Exotel’s API is stored', async () => {
    let asked = 0
    const run = await harness.start(
      { status: 'completed' },
      { findRecording: async () => (++asked < 3 ? { kind: 'none' } : { kind: 'named', sourceUrl: LINK }) },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
  })

  test('then the recording of a call of exactly 10 s counts as missing if Exotel has none', async () => {
    const run = await harness.start({ status: 'completed', durationSeconds: POLICY.expectedFromSeconds })
    expect(await run.ended()).toBe('RecordingMissing')
    expect(run.conclusions).toMatchObject([
      { outcome: { state: 'failed', code: 'RecordingMissing', error: 'The call lasted 10 s, and Exotel has no recording of it' } },
    ])
  })

  test('then the call is not concluded as "not recorded" without a response from Exotel', async () => {
    const run = await harness.start({ status: 'completed' }, { findRecording: async () => ({ kind: 'unavailable', reason: 'no answer' }) })
    expect(await run.ended()).toBe('ExotelUnavailable')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'ExotelUnavailable' } }])
  })

  test('then Call Details are requested also if the status says that the call is running', async () => {
    const run = await harness.start(
      { status: 'in-progress' },
      {
        findRecording: async () => (run.calls.length < 3 ? { kind: 'none', status: 'in-progress' } : { kind: 'named', sourceUrl: LINK }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
  })

  test('then one request follows at once if the call ended last month', async () => {
    const ended = (await now()) - 20 * 24 * HOUR
    const run = await harness.start({ status: 'completed', endedAt: iso(ended) })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls).toEqual(['findRecording', 'updateCall'])
  })

  test.each(['busy', 'no-answer', 'failed', 'canceled'])('then a %s call is not recorded, and no request is sent', async (status) => {
    const run = await harness.start({ status })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls).toEqual(['updateCall'])
    expect(run.conclusions).toEqual([{ callSid: run.callSid, outcome: { state: 'not_recorded', status } }])
  })

  test('then the search starts if an event says, while the call is concluded, that it was answered after all', async () => {
    const run = await harness.start(
      { status: 'no-answer' },
      {
        updateCall: async ({ outcome }) => {
          if (outcome.state === 'not_recorded') await run.signal({ status: 'completed' })
        },
        findRecording: async () => ({ kind: 'named', sourceUrl: LINK }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['not_recorded', 'stored'])
  })
})

test('When a request for Call Details fails with an unknown error, then it is repeated, and the recording of its link is stored', async () => {
  let asked = 0
  const run = await harness.start(
    { status: 'completed' },
    { findRecording: async () => (++asked < 3 ? Promise.reject(failedAttempt('InternalError')) : { kind: 'named', sourceUrl: LINK }) },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
})

test('When Exotel refuses our key for hours, then the recording of a link that arrives meanwhile is stored without waiting for the response', async () => {
  const run = await harness.start(
    { status: 'completed' },
    { findRecording: () => Promise.reject(retriedLater('ExotelCredentialsRefused', 5 * MINUTE)) },
  )
  await harness.env.sleep('3h')
  expect(run.conclusions).toEqual([])
  await run.signal({ sourceUrls: [LINK] })
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
})

test('When a call is concluded as not recorded, then the outcome contains the status that it is based on', async () => {
  const run = await harness.start({ status: 'busy' })
  await run.ended()
  expect(run.conclusions).toEqual([{ callSid: run.callSid, outcome: { state: 'not_recorded', status: 'busy' } }])
})

test('When Call Details say that nobody answered the call, then the search ends', async () => {
  const run = await harness.start({}, { findRecording: async () => ({ kind: 'none', status: 'busy', durationSeconds: 40 }) })
  expect(await run.ended()).toBeUndefined()
  expect(run.calls).toEqual(['findRecording', 'updateCall'])
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'not_recorded', status: 'busy' } }])
})

test('When a call is erased during the search, then the search ends, and the run does not fail', async () => {
  const run = await harness.start({ status: 'completed', durationSeconds: 40 }, { findRecording: async () => ({ kind: 'erased' }) })
  expect(await run.ended()).toBeUndefined()
  expect(run.calls).toEqual(['findRecording', 'updateCall'])
})

describe('When Call Details say that nobody answered the call, and an event says that somebody did', () => {
  test.each<[string, CallUpdate]>([
    ['by its status', { sourceUrls: [], status: 'completed' }],
    ['by its duration', { sourceUrls: [], status: 'busy', durationSeconds: 73 }],
  ])('then Call Details are requested again, and a recording that they name later is stored: %s', async (_how, news) => {
    let asked = 0
    const run = await harness.start(news, {
      findRecording: async () =>
        ++asked < 3 ? { kind: 'none', status: 'no-answer', durationSeconds: 73 } : { kind: 'named', sourceUrl: LINK },
    })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
  })

  test('then the recording counts as missing an hour after the end', async () => {
    const startMs = await now()
    const run = await harness.start(
      { status: 'completed', endedAt: iso(startMs) },
      { findRecording: async () => ({ kind: 'none', status: 'no-answer', durationSeconds: 73 }) },
    )
    expect(await run.ended()).toBe('RecordingMissing')
    expect(run.concludedAtMs - startMs).toBeGreaterThanOrEqual(60 * MINUTE)
  })
})

test('When Exotel does not know the call, then Call Details are requested for an hour, and the failure has its own code', async () => {
  const startMs = await now()
  const run = await harness.start({ status: 'completed', endedAt: iso(startMs) }, { findRecording: async () => ({ kind: 'unknown call' }) })
  expect(await run.ended()).toBe('CallUnknown')
  expect(run.concludedAtMs - startMs).toBeGreaterThanOrEqual(60 * MINUTE)
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
