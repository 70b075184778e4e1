// The two kinds of failures of an activity.
import { ApplicationFailure } from '@temporalio/common'
import { redact } from '../platform/redact.ts'
import type { FailureCode, RATE_LIMITED, SPOOL_FILE_LOST, WaitingCode } from '../contracts/failures.ts'

/**
 * A service is unavailable or misconfigured, and the recording is not the cause. Temporal schedules another attempt after a growing pause
 * with jitter, without limit. Between attempts, the activity occupies no slot and adds nothing to the history.
 */
export class RetryLater extends Error {
  readonly code: WaitingCode
  readonly pauseMs: number | undefined

  /** @param pauseMs instead of the growing pause, for example from Retry-After */
  constructor(code: WaitingCode, message: string, pauseMs?: number) {
    super(message)
    this.name = 'RetryLater'
    this.code = code
    this.pauseMs = pauseMs
  }
}

/** Creates the failure of an attempt that Temporal does not retry. The workflow decides whether it starts another one. */
export function failAttempt(
  code: FailureCode | typeof SPOOL_FILE_LOST | typeof RATE_LIMITED,
  message: string,
  details?: object,
): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message: redact(message), nonRetryable: true, ...(details ? { details: [details] } : {}) })
}
