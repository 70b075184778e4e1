// How events about the end of a call change the search and the waits.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { failedAttempt, HOUR, iso, type Harness, LINK, MINUTE, ONE_BYTE, openHarness } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const now = () => harness.env.currentTimeMs()

test('When an event reports a later end of the call, then Exotel may prepare the recording for an hour after that end', async () => {
  const startMs = await now()
  const run = await harness.start(
    { status: 'busy', sourceUrls: [LINK], endedAt: iso(startMs - 2 * HOUR) },
    {
      downloadRecording: async () =>
        (await now()) - startMs < 30 * MINUTE ? Promise.reject(failedAttempt('RecordingNotFound')) : ONE_BYTE,
    },
  )
  await run.signal({ status: 'completed', endedAt: iso(startMs) })
  await run.signal({ status: 'busy', endedAt: iso(startMs - 2 * HOUR) })
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
})

test('When the end of a call is more than 200 days before its event, then it is not plausible, and Exotel may prepare the recording for five hours', async () => {
  const startMs = await now()
  const run = await harness.start(
    { sourceUrls: [LINK], endedAt: iso(startMs - 201 * 24 * HOUR) },
    { downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')) },
  )
  expect(await run.ended()).toBe('RecordingNotFound')
  expect(run.concludedAtMs - startMs).toBeGreaterThan(5 * HOUR)
})

describe('When events about the end of a call disagree', () => {
  const none = async () => ({ kind: 'none', status: 'completed', durationSeconds: 3 }) as const

  test('then Call Details are requested until the call has ended, and for an hour after that', async () => {
    const startMs = await now()
    const asked: number[] = []
    const announced: number[] = []
    const run = await harness.start(
      { status: 'ringing', endReportedAt: iso(startMs) },
      {
        findRecording: async ({ nextRequestWhileRunningAt }) => {
          const ms = await now()
          asked.push(ms)
          announced.push(Date.parse(nextRequestWhileRunningAt!))
          return ms - startMs < 35 * MINUTE ? { kind: 'none', status: 'in-progress' } : none()
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    const minutes = (times: number[]) => times.map((ms) => Math.round((ms - startMs) / MINUTE))
    expect(minutes(asked)).toEqual([1, 11, 21, 31, 41, 46, 61, 91])
    expect(minutes(announced)).toEqual([11, 21, 31, 41, 51, 56, 71, 101]) // the row shows these times while the call is running
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'not_recorded' } }])
  })

  test('then the recording counts as missing after five hours if the call never ends for Exotel', async () => {
    const startMs = await now()
    const run = await harness.start({ endReportedAt: iso(startMs) }, { findRecording: async () => ({ kind: 'none', status: 'ringing' }) })
    expect(await run.ended()).toBe('RecordingMissing')
    expect(run.concludedAtMs - startMs).toBeGreaterThanOrEqual(5 * HOUR)
    expect(run.calls.filter((name) => name === 'findRecording').length).toBeLessThan(35)
  })

  test('then a request follows at once when a running call ends', async () => {
    const startMs = await now()
    const run = await harness.start(
      { endReportedAt: iso(startMs) },
      {
        findRecording: async () =>
          (await now()) - startMs < 4 * MINUTE ? { kind: 'none', status: 'in-progress' } : { kind: 'named', sourceUrl: LINK },
      },
    )
    await harness.env.sleep(4 * MINUTE)
    await run.signal({ status: 'completed', endReportedAt: iso(startMs + 4 * MINUTE) })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
    expect(run.concludedAtMs - startMs).toBeLessThan(6 * MINUTE)
  })

  test('then an end that arrives while "not recorded" is written starts a new search, also for an unanswered call', async () => {
    let written = 0
    const run = await harness.start(
      { status: 'busy', endReportedAt: iso(await now()) },
      {
        updateCall: async () => {
          written += 1
          if (written === 1) await run.signal({ status: 'busy', endReportedAt: iso(await now()) })
        },
        findRecording: async () => ({ kind: 'named', sourceUrl: LINK }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['not_recorded', 'stored'])
  })

  test('then one more request follows if an end arrives during the last request', async () => {
    const startMs = await now()
    let asked = 0
    const run = await harness.start(
      { status: 'completed', endedAt: iso(startMs - 2 * HOUR) },
      {
        findRecording: async () => {
          asked += 1
          if (asked === 1) await run.signal({ status: 'completed', endReportedAt: iso(await now()) })
          return asked === 1 ? none() : { kind: 'named', sourceUrl: LINK }
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['not_recorded', 'stored'])
  })

  test('then the relay can start a search at once, whatever the status is', async () => {
    const startMs = await now()
    const run = await harness.start({ status: 'busy', endReportedAt: iso(startMs), searchAgain: true }, { findRecording: none })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls[0]).toBe('findRecording')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'not_recorded' } }])
  })

  test('then an older end that arrives later does not change the times of the requests', async () => {
    const startMs = await now()
    const asked: number[] = []
    const run = await harness.start(
      { status: 'completed', endReportedAt: iso(startMs) },
      { findRecording: async () => (asked.push(await now()), { kind: 'named', sourceUrl: LINK }) },
    )
    await run.signal({ status: 'completed', endReportedAt: iso(startMs - 30 * MINUTE) })
    expect(await run.ended()).toBeUndefined()
    expect(Math.round((asked[0]! - startMs) / MINUTE)).toBe(1)
  })

  test('then a second end adds no request if the next request is still due', async () => {
    const startMs = await now()
    const run = await harness.start({ status: 'completed', endedAt: iso(startMs), endReportedAt: iso(startMs) }, { findRecording: none })
    await run.signal({ status: 'completed', endReportedAt: iso(startMs + 1000) })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'findRecording')).toHaveLength(7)
    expect(run.conclusions).toHaveLength(1)
  })
})
