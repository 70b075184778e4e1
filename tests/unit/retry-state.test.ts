import { describe, expect, test } from '@jest/globals'
import { RATE_LIMITED } from '../../contracts/failures.ts'
import type { RetryState } from '../../contracts/recording.ts'
import type { Failure } from '../../workflows/failure.ts'
import {
  afterFailure,
  afterRenewal,
  newRetryState,
  preparingUntilMs,
  type RetryContext,
  type RetryStep,
} from '../../workflows/retry-state.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const MB = 1024 ** 2
const NOW = Date.UTC(2026, 10, 1)
const context: RetryContext = { nowMs: NOW, isPreparing: false, policy: { waitScale: 1, tries: 3 } }
const preparing: RetryContext = { ...context, isPreparing: true }

const failureOf = (code: Failure['code'], more: Partial<Failure> = {}): Failure => ({ code, message: `${code} happened`, ...more })
const stateOf = (more: Partial<RetryState> = {}): RetryState => ({ ...newRetryState(), ...more })
const retries = (pauseMs: number, why: unknown = expect.any(String)) => ({ kind: 'retry', pauseMs, why })
const concludes = (code: string, error = `${code} happened`) => ({ kind: 'conclude', code, error })

/** @returns the decisions for consecutive attempts that end with the same failure */
function decisions(times: number, failure: Failure, about: RetryContext = context): RetryStep['decision'][] {
  let state = newRetryState()
  return Array.from({ length: times }, () => {
    const step = afterFailure(state, failure, about)
    state = step.state
    return step.decision
  })
}
const pauses = (steps: RetryStep['decision'][]) => steps.map((step) => (step.kind === 'retry' ? step.pauseMs / SECOND : step.kind))

describe('When Exotel fails', () => {
  test.each(['ExotelUnavailable', 'DownloadIncomplete', 'RecordingInvalid', 'RecordingNotFound'] as const)(
    'with %s, then each attempt is counted, and the last one concludes',
    (code) => {
      expect(decisions(3, failureOf(code))).toEqual([
        retries(10 * SECOND, 'attempt 2 of 3 follows'),
        retries(20 * SECOND, 'attempt 3 of 3 follows'),
        concludes(code),
      ])
    },
  )

  test('then the pauses double up to 10 min', () => {
    const steps = decisions(9, failureOf('ExotelUnavailable'), { ...context, policy: { waitScale: 1, tries: 9 } })
    expect(pauses(steps)).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 'conclude'])
  })

  test('then Retry-After makes a pause longer, never shorter', () => {
    expect(afterFailure(newRetryState(), failureOf('ExotelUnavailable', { retryAfterMs: HOUR }), context).decision).toEqual(retries(HOUR))
    expect(afterFailure(newRetryState(), failureOf('ExotelUnavailable', { retryAfterMs: 1 }), context).decision).toEqual(
      retries(10 * SECOND),
    )
  })

  test.each([
    [MB - 1, { failures: 3, furthestBytes: MB - 1 }],
    [MB, { failures: 1, furthestBytes: MB }],
  ])('then an attempt that downloaded %d bytes more resets the count of failures if this is 1 MB or more', (reachedBytes, after) => {
    const { state } = afterFailure(stateOf({ failures: 2 }), failureOf('DownloadIncomplete', { reachedBytes }), context)
    expect(state).toMatchObject(after)
  })

  test('then progress is measured from the largest download of all attempts, also after a shorter attempt', () => {
    const before = stateOf({ failures: 1, furthestBytes: 5 * MB })
    const shorter = afterFailure(before, failureOf('DownloadIncomplete', { reachedBytes: 2 * MB }), context)
    expect(shorter.state).toMatchObject({ failures: 2, furthestBytes: 5 * MB })
    const further = afterFailure(shorter.state, failureOf('DownloadIncomplete', { reachedBytes: 6 * MB }), context)
    expect(further.state).toMatchObject({ failures: 1, furthestBytes: 6 * MB })
  })
})

describe('When Exotel may still be preparing the recording', () => {
  test.each([failureOf('RecordingNotFound'), failureOf('RecordingInvalid', { isEmpty: true })])(
    'then the attempt is repeated without limit after $code, with pauses of up to 2 min',
    (failure) => {
      const steps = decisions(40, failure, preparing)
      expect(pauses(steps).slice(0, 6)).toEqual([10, 20, 40, 80, 120, 120])
      expect(steps.at(-1)).toEqual(retries(2 * MINUTE, 'Exotel may still be preparing the recording'))
    },
  )

  test('then a file that is not audio counts as a failure, and an empty file counts after that time', () => {
    expect(afterFailure(newRetryState(), failureOf('RecordingInvalid'), preparing).state).toMatchObject({ failures: 1, waits: 0 })
    expect(afterFailure(newRetryState(), failureOf('RecordingInvalid', { isEmpty: true }), context).state).toMatchObject({
      failures: 1,
      waits: 0,
    })
  })

  test('then other failures are counted', () => {
    expect(afterFailure(newRetryState(), failureOf('DownloadIncomplete'), preparing).state).toMatchObject({ failures: 1, waits: 0 })
  })
})

describe('When Exotel limits the rate', () => {
  test('then the attempt is repeated without limit, and no failure is counted', () => {
    const steps = decisions(1000, failureOf(RATE_LIMITED))
    expect(steps.at(-1)).toEqual(retries(2 * MINUTE, 'Exotel limits the rate of requests'))
    expect(afterFailure(newRetryState(), failureOf(RATE_LIMITED), context).state).toMatchObject({ failures: 0, waits: 1 })
  })

  test('then the pause is as long as Retry-After says', () => {
    expect(afterFailure(newRetryState(), failureOf(RATE_LIMITED, { retryAfterMs: 13 * MINUTE }), context).decision).toEqual(
      retries(13 * MINUTE),
    )
  })
})

describe('When Exotel refuses a recording', () => {
  const unauthorized = failureOf('ExotelUnauthorized')

  test('then a pre-signed link is requested, and used at once', () => {
    const step = afterFailure(newRetryState(), unauthorized, context)
    expect(step.decision).toEqual({ kind: 'renew link' })
    const renewed = afterRenewal(step.state, unauthorized, { kind: 'renewed' }, context)
    expect(renewed).toEqual({ state: stateOf({ linkRenewed: true }), decision: retries(0, 'trying a pre-signed link') })
  })

  test('then the recording is concluded if the pre-signed link is also refused', () => {
    expect(afterFailure(stateOf({ linkRenewed: true }), unauthorized, context).decision).toEqual(concludes('ExotelUnauthorized'))
    expect(afterRenewal(newRetryState(), unauthorized, { kind: 'refused' }, context).decision).toEqual(concludes('ExotelUnauthorized'))
  })

  test('then a pre-signed link is requested again after another failure, because the earlier link may have expired', () => {
    const { state } = afterFailure(stateOf({ linkRenewed: true }), failureOf('ExotelUnavailable'), context)
    expect(state.linkRenewed).toBe(false)
    expect(afterFailure(state, unauthorized, context).decision).toEqual({ kind: 'renew link' })
  })

  test('then a failure is counted if Exotel’s API does not respond either', () => {
    const step = afterRenewal(stateOf({ failures: 1 }), unauthorized, { kind: 'unavailable' }, context)
    expect(step.state).toMatchObject({ failures: 2, linkRenewed: false })
    expect(step.decision).toEqual(retries(20 * SECOND, 'attempt 3 of 3 follows'))
    expect(afterRenewal(step.state, unauthorized, { kind: 'unavailable' }, context).decision).toEqual(
      concludes('ExotelUnavailable', "ExotelUnauthorized happened; Exotel's API does not answer either"),
    )
  })

  test('then the attempt is repeated while Exotel may be preparing the recording, with pauses of up to 10 min and a new link each time', () => {
    let state = newRetryState()
    const waited = Array.from({ length: 9 }, () => {
      const step = afterFailure(state, unauthorized, preparing)
      expect(step.decision).toEqual({ kind: 'renew link' })
      const refused = afterRenewal(step.state, unauthorized, { kind: 'refused' }, preparing)
      state = refused.state
      return refused.decision
    })
    expect(pauses(waited)).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600])
    expect(waited[0]).toMatchObject({ why: 'Exotel may still be preparing the recording' })
    const step = afterFailure(stateOf({ linkRenewed: true }), unauthorized, preparing)
    expect(step).toMatchObject({ state: { linkRenewed: false, waits: 1 }, decision: { kind: 'retry' } })
  })
})

describe('When a file on a worker’s disk is lost or an error is unknown', () => {
  test('then the first lost file is downloaded again at once', () => {
    expect(afterFailure(newRetryState(), failureOf('SpoolFileLost'), context)).toEqual({
      state: stateOf({ spoolLosses: 1 }),
      decision: retries(0, 'downloading again'),
    })
  })

  test('then further lost files are retried after pauses of up to 5 min, unknown errors of up to an hour', () => {
    expect(pauses(decisions(8, failureOf('SpoolFileLost')))).toEqual([0, 20, 40, 80, 160, 300, 300, 300])
    expect(pauses(decisions(11, failureOf('InternalError')))).toEqual([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600])
    expect(decisions(2, failureOf('InternalError')).at(-1)).toMatchObject({ why: 'retried for at most a day' })
  })

  test.each(['SpoolFileLost', 'InternalError'] as const)('then %s is retried for a day, and never counted', (code) => {
    const began = stateOf({ spoolLosses: 1, internalErrors: 1, firstTroubleAtMs: NOW })
    const before = afterFailure(began, failureOf(code), { ...context, nowMs: NOW + 24 * HOUR - 1 })
    expect(before).toMatchObject({ state: { failures: 0, firstTroubleAtMs: NOW }, decision: { kind: 'retry' } })
    const after = afterFailure(began, failureOf(code), { ...context, nowMs: NOW + 24 * HOUR })
    expect(after.decision).toEqual(concludes('InternalError', `${code} happened`))
  })

  test('then the day starts with the first of them, and again after an attempt with neither', () => {
    const first = afterFailure(newRetryState(), failureOf('InternalError'), context)
    expect(first.state).toMatchObject({ firstTroubleAtMs: NOW, internalErrors: 1 })
    const earlier = { spoolLosses: 4, internalErrors: 5, firstTroubleAtMs: NOW }
    const { state } = afterFailure(stateOf(earlier), failureOf('ExotelUnavailable'), context)
    expect(state).toMatchObject({ spoolLosses: 0, internalErrors: 0 })
    expect(state).not.toHaveProperty('firstTroubleAtMs')
  })
})

test.each([
  'RecordingExpired',
  'RecordingTooLarge',
  'RecordingUrlRefused',
  'RecordingHostNotAllowed',
  'RecordingDamaged',
  'RecordingMissing',
  'CallUnknown',
  'ObjectMissing',
  'Cancelled',
] as const)('When an attempt ends with %s, then the recording is concluded with it, even while Exotel may be preparing it', (code) => {
  expect(afterFailure(newRetryState(), failureOf(code), preparing)).toEqual({ state: newRetryState(), decision: concludes(code) })
})

describe('When an attempt has left a part on a worker’s disk', () => {
  test.each([
    [MB - 1, undefined],
    [MB, 'spool-1'],
  ])('of %d bytes, then the next attempt resumes it on %s', (resumableBytes, resumeOn) => {
    const failure = failureOf('DownloadIncomplete', { spool: 'spool-1', resumableBytes })
    expect(afterFailure(stateOf({ resumeOn: 'spool-2' }), failure, context).state.resumeOn).toBe(resumeOn)
  })

  test('or no part, then the next attempt can run on any worker, and its pause depends only on this failure', () => {
    const before = stateOf({ resumeOn: 'spool-2', nextAttemptAt: new Date(NOW - 1).toISOString() })
    for (const failure of [failureOf('RecordingExpired'), failureOf('RecordingExpired', { resumableBytes: MB })]) {
      expect(afterFailure(before, failure, context).state).toEqual(newRetryState())
    }
    expect(afterFailure(before, failureOf('RecordingExpired', { spool: 'spool-1' }), context).state).toEqual(newRetryState())
  })
})

describe('When waits are scaled', () => {
  const scaled: RetryContext = { ...context, policy: { waitScale: 0.5, tries: 3 } }

  test('then pauses and the time of the next attempt are scaled', () => {
    const { state, decision } = afterFailure(newRetryState(), failureOf('ExotelUnavailable'), scaled)
    expect(decision).toEqual(retries(5 * SECOND))
    expect(state.nextAttemptAt).toBe(new Date(NOW + 5 * SECOND).toISOString())
  })

  test('then the day for unknown errors is scaled', () => {
    const began = stateOf({ firstTroubleAtMs: NOW })
    const at = (nowMs: number) => afterFailure(began, failureOf('InternalError'), { ...scaled, nowMs }).decision.kind
    expect([at(NOW + 12 * HOUR - 1), at(NOW + 12 * HOUR)]).toEqual(['retry', 'conclude'])
  })

  test.each([
    [NOW, 1, NOW + HOUR],
    [NOW, 0.5, NOW + HOUR / 2],
    [undefined, 1, NOW + 8 * HOUR],
    [undefined, 0.5, NOW + 5.5 * HOUR],
  ])(
    'then a recording may be prepared for an hour after the end %s, or five after the first event: scale %d',
    (endedAtMs, waitScale, until) => {
      expect(preparingUntilMs(endedAtMs, new Date(NOW + 3 * HOUR).toISOString(), { waitScale })).toBe(until)
    },
  )
})

test('When the workflow has waited a million times, then the time of the next attempt is still valid', () => {
  const { state, decision } = afterFailure(stateOf({ waits: 1_000_000 }), failureOf(RATE_LIMITED), context)
  expect(decision).toEqual(retries(2 * MINUTE))
  expect(state.nextAttemptAt).toBe(new Date(NOW + 2 * MINUTE).toISOString())
})
