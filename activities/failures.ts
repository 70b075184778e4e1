// The two ways an activity fails: it gives its task back and waits (ours, an outage), or it ends and the workflow decides.
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common'
import { backoffMs } from '../platform/backoff.ts'
import { redact } from '../platform/redact.ts'
import type { Pauses } from '../platform/retry.ts'
import type { FailureCode, RATE_LIMITED, SPOOL_FILE_LOST, WaitingCode } from '../contracts/failures.ts'

/**
 * Not this recording's fault: Temporal hands the task out again after a growing, jittered pause, without limit. It holds no
 * slot meanwhile, adds nothing to the history, and is no error in Temporal's eyes.
 * @param wait.ms a pause that somebody asked for (Retry-After)
 */
export function retryLater(
  code: WaitingCode,
  message: string,
  wait: { attempt: number; pauses: Pauses; ms?: number | undefined },
): ApplicationFailure {
  const ms = wait.ms ?? backoffMs(wait.attempt, wait.pauses)
  return ApplicationFailure.create({
    type: code,
    message: redact(message),
    nextRetryDelay: Math.max(100, Math.round(ms)),
    category: ApplicationFailureCategory.BENIGN,
  })
}

/** This try is over; the workflow counts it, waits, or concludes. */
export function failAttempt(
  code: FailureCode | typeof SPOOL_FILE_LOST | typeof RATE_LIMITED,
  message: string,
  details?: object,
): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message: redact(message), nonRetryable: true, ...(details ? { details: [details] } : {}) })
}
