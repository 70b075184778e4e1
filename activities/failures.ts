// The two ways in which an activity fails.
import { ApplicationFailure } from '@temporalio/common'
import { redact } from '../platform/redact.ts'
import type { FailureCode, RATE_LIMITED, SPOOL_FILE_LOST, WaitingCode } from '../contracts/failures.ts'

/**
 * The recording is not at fault: one of our services is unavailable or misconfigured. Temporal schedules another attempt after a growing
 * pause with jitter, without limit. The activity holds no slot meanwhile and adds nothing to the history.
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

/** This attempt has failed. The workflow counts it, waits, or concludes. */
export function failAttempt(
  code: FailureCode | typeof SPOOL_FILE_LOST | typeof RATE_LIMITED,
  message: string,
  details?: object,
): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message: redact(message), nonRetryable: true, ...(details ? { details: [details] } : {}) })
}
