import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/common'
import { isFailureCode, RATE_LIMITED, SPOOL_FILE_LOST, type FailureCode } from '../contracts/failures.ts'

/** An activity's error, as the workflow handles it. */
export interface Failure {
  /** `SpoolFileLost`: the worker, its disk or the file is lost, so the recording has to be downloaded again. */
  code: FailureCode | typeof SPOOL_FILE_LOST | typeof RATE_LIMITED
  message: string
  /** The largest number of bytes that a download reached in all attempts. */
  reachedBytes?: number
  /** How many of them are on that worker's disk and can be resumed. */
  resumableBytes?: number
  retryAfterMs?: number
  /** Task queue of the worker whose disk has a part of the recording. */
  spool?: string
  /** The file has no bytes. */
  isEmpty?: boolean
}

export function failureIn(error: unknown): Failure {
  const cause = error instanceof ActivityFailure ? error.cause : error
  if (isScheduleToStartTimeout(error)) return { code: SPOOL_FILE_LOST, message: 'The worker that has the file does not respond' }
  if (!(cause instanceof ApplicationFailure))
    return { code: 'InternalError', message: cause instanceof Error ? cause.message : String(cause) }
  const code = codeOf(cause.type)
  const [details] = (cause.details ?? []) as { reachedBytes?: number; resumableBytes?: number; retryAfterMs?: number; queue?: string }[]
  return {
    code,
    message: cause.message,
    ...(details?.reachedBytes !== undefined && { reachedBytes: details.reachedBytes }),
    ...(details?.resumableBytes !== undefined && { resumableBytes: details.resumableBytes }),
    ...(details?.retryAfterMs !== undefined && { retryAfterMs: details.retryAfterMs }),
    ...(details?.queue !== undefined && { spool: details.queue }),
  }
}

/** No worker started the activity's task in time. */
export function isScheduleToStartTimeout(error: unknown): boolean {
  const cause = error instanceof ActivityFailure ? error.cause : error
  return cause instanceof TimeoutFailure && cause.timeoutType === 'SCHEDULE_TO_START'
}

function codeOf(type: string | undefined | null): Failure['code'] {
  if (type === SPOOL_FILE_LOST || type === RATE_LIMITED) return type
  return isFailureCode(type) ? type : 'InternalError'
}
