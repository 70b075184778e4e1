// Decides what follows from a failed attempt: a retry at once, a retry after a pause, or the end. Failures that Exotel causes are counted.
// An attempt that only has to wait is not.
import { RATE_LIMITED, SPOOL_FILE_LOST, type FailureCode } from '../contracts/failures.ts'
import type { RenewalResult, RecordingPolicy, RetryState } from '../contracts/recording.ts'
import type { Failure } from './failure.ts'

type RetryDecision =
  | { kind: 'conclude'; code: FailureCode; error: string }
  | { kind: 'retry'; pauseMs: number; why: string }
  /** Exotel refused the recording. Request a pre-signed link from its API, then call {@link afterRenewal}. */
  | { kind: 'renew link' }

export interface RetryStep {
  state: RetryState
  decision: RetryDecision
}

export interface RetryContext {
  nowMs: number
  /** Exotel may still be preparing the recording, see {@link preparingUntilMs}. */
  isPreparing: boolean
  policy: Pick<RecordingPolicy, 'waitScale' | 'tries'>
}

const SECOND_MS = 1000
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** Exotel may need this long until a recording is available. The time is longer if the end of the call is unknown. */
const PREPARING_MS = { afterEnd: 60 * MINUTE_MS, afterArrival: 5 * HOUR_MS }
const PREPARING = 'Exotel may still be preparing the recording'
const MAX_WAIT_MS = 2 * MINUTE_MS
/** Longer, because each of these attempts also sends a request to Exotel's API. */
const MAX_WAIT_WHILE_REFUSED_MS = 10 * MINUTE_MS
/** Internal errors, and spool files that are lost again, are retried for this long. */
const INTERNAL_ERRORS_FOR_MS = 24 * HOUR_MS
/** An attempt whose file is this much longer than that of any counted attempt before resets the count of failures. */
const PROGRESS_BYTES = 1024 ** 2
/** For a part of this length the workflow waits for the worker that has it. A shorter part is downloaded again by any worker. */
const WORTH_RESUMING_BYTES = 1024 ** 2

export function newRetryState(): RetryState {
  return { failures: 0, furthestBytes: 0, waits: 0, spoolLosses: 0, internalErrors: 0, linkRenewed: false }
}

/** Pure function: decides what follows from one failed attempt. */
export function afterFailure(before: RetryState, failure: Failure, context: RetryContext): RetryStep {
  const state = withoutAttempt(before, failure)
  switch (failure.code) {
    case SPOOL_FILE_LOST: {
      const spoolLosses = state.spoolLosses + 1
      const next = { ...state, spoolLosses }
      return spoolLosses === 1
        ? { state: next, decision: { kind: 'retry', pauseMs: 0, why: 'downloading again' } }
        : retryForADay(next, failure, { nth: spoolLosses, maxPauseMs: 5 * MINUTE_MS }, context)
    }
    case RATE_LIMITED:
      return waitAndRetry(state, failure, 'Exotel limits the rate of requests', context)
    case 'RecordingNotFound':
      return context.isPreparing ? waitAndRetry(state, failure, PREPARING, context) : countFailure(state, failure, context)
    case 'ExotelUnauthorized':
      return state.linkRenewed ? waitWhileRefused(state, failure, context) : { state, decision: { kind: 'renew link' } }
    case 'RecordingInvalid':
      return failure.isEmpty && context.isPreparing
        ? waitAndRetry(state, failure, PREPARING, context)
        : countFailure(state, failure, context)
    case 'DownloadIncomplete':
    case 'ExotelUnavailable':
      return countFailure(state, failure, context)
    case 'InternalError': {
      const internalErrors = state.internalErrors + 1
      return retryForADay({ ...state, internalErrors }, failure, { nth: internalErrors, maxPauseMs: HOUR_MS }, context)
    }
    case 'RecordingExpired':
    case 'RecordingTooLarge':
    case 'RecordingUrlRefused':
    case 'RecordingHostNotAllowed':
    case 'RecordingDamaged':
    case 'RecordingMissing':
    case 'CallUnknown':
    case 'ObjectMissing':
    case 'Cancelled':
      return conclude(state, failure.code, failure.message)
    default:
      return failure.code satisfies never
  }
}

/** Pure function: decides what follows from the response to the request for a pre-signed link. */
export function afterRenewal(state: RetryState, failure: Failure, renewal: RenewalResult, context: RetryContext): RetryStep {
  const { message } = failure
  if (renewal.kind === 'refused') return waitWhileRefused(state, failure, context)
  if (renewal.kind === 'unavailable') {
    return countFailure(state, { code: 'ExotelUnavailable', message: `${message}; Exotel's API does not answer either` }, context)
  }
  return { state: { ...state, linkRenewed: true }, decision: { kind: 'retry', pauseMs: 0, why: 'trying a pre-signed link' } }
}

/** @returns until when a missing recording is normal, ms since 1970 */
export function preparingUntilMs(
  endedAtMs: number | undefined,
  arrivedAt: string,
  { waitScale }: Pick<RecordingPolicy, 'waitScale'>,
): number {
  return endedAtMs === undefined
    ? Date.parse(arrivedAt) + PREPARING_MS.afterArrival * waitScale
    : endedAtMs + PREPARING_MS.afterEnd * waitScale
}

/** Removes from the state what belongs to the failed attempt only. */
function withoutAttempt({ resumeOn: _resumeOn, nextAttemptAt: _nextAttemptAt, ...before }: RetryState, failure: Failure): RetryState {
  const { code, spool, resumableBytes = 0 } = failure
  const state = code === SPOOL_FILE_LOST || code === 'InternalError' ? before : withoutInternalErrors(before)
  return {
    ...state,
    linkRenewed: state.linkRenewed && code === 'ExotelUnauthorized', // a pre-signed link may expire between two attempts
    ...(spool !== undefined && resumableBytes >= WORTH_RESUMING_BYTES && { resumeOn: spool }),
  }
}

/** After an attempt without a lost file or an internal error, the day for which they are tolerated starts again. */
function withoutInternalErrors({ firstTroubleAtMs: _firstTroubleAtMs, ...state }: RetryState): RetryState {
  return { ...state, spoolLosses: 0, internalErrors: 0 }
}

/** Exotel accepts our key, but refuses this recording. It may do so while it prepares the recording. */
function waitWhileRefused(state: RetryState, failure: Failure, context: RetryContext): RetryStep {
  if (!context.isPreparing) return conclude(state, 'ExotelUnauthorized', failure.message)
  return waitAndRetry({ ...state, linkRenewed: false }, failure, PREPARING, context, MAX_WAIT_WHILE_REFUSED_MS)
}

function countFailure(state: RetryState, failure: Failure, context: RetryContext): RetryStep {
  const { code, message, reachedBytes = 0, retryAfterMs = 0 } = failure
  const progressed = reachedBytes >= state.furthestBytes + PROGRESS_BYTES
  const failures = (progressed ? 0 : state.failures) + 1
  const next = { ...state, failures, furthestBytes: Math.max(state.furthestBytes, reachedBytes) }
  const { tries } = context.policy
  if (failures >= tries) return conclude(next, code as FailureCode, message)
  const pauseMs = Math.max(growingPause(failures, 10 * SECOND_MS, 10 * MINUTE_MS), retryAfterMs)
  return retry(next, pauseMs, `attempt ${failures + 1} of ${tries} follows`, context)
}

/** Counts no failure. The attempt is repeated without limit, after growing pauses. */
function waitAndRetry(
  state: RetryState,
  { retryAfterMs = 0 }: Failure,
  why: string,
  context: RetryContext,
  maxPauseMs = MAX_WAIT_MS,
): RetryStep {
  const waits = state.waits + 1
  return retry({ ...state, waits }, Math.max(growingPause(waits, 10 * SECOND_MS, maxPauseMs), retryAfterMs), why, context)
}

/** Retries after a lost spool file or an unknown error for a day only, because a bug would otherwise be repeated forever. */
function retryForADay(
  before: RetryState,
  { message }: Failure,
  { nth, maxPauseMs }: { nth: number; maxPauseMs: number },
  context: RetryContext,
): RetryStep {
  const firstTroubleAtMs = before.firstTroubleAtMs ?? context.nowMs // the day starts now, unless an earlier failure has started it
  const state = { ...before, firstTroubleAtMs }
  if (context.nowMs - firstTroubleAtMs >= INTERNAL_ERRORS_FOR_MS * context.policy.waitScale)
    return conclude(state, 'InternalError', message)
  return retry(state, growingPause(nth, 10 * SECOND_MS, maxPauseMs), 'retried for at most a day', context)
}

function retry(state: RetryState, unscaledMs: number, why: string, { nowMs, policy }: RetryContext): RetryStep {
  const pauseMs = unscaledMs * policy.waitScale
  return { state: { ...state, nextAttemptAt: new Date(nowMs + pauseMs).toISOString() }, decision: { kind: 'retry', pauseMs, why } }
}

function conclude(state: RetryState, code: FailureCode, error: string): RetryStep {
  return { state, decision: { kind: 'conclude', code, error } }
}

function growingPause(nth: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(nth - 1, 30))
}
