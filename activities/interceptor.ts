// Runs each activity with heartbeats, log context, typed failures and recorded waits, so that activities are plain functions.
import type { Context } from '@temporalio/activity'
import { ApplicationFailure, ApplicationFailureCategory, CancelledFailure } from '@temporalio/common'
import type { ActivityInterceptorsFactory } from '@temporalio/worker'
import { setInterval } from 'node:timers'
import { recordRetryWait } from '../calls/record-retry-wait.ts'
import { SPOOL_FILE_LOST, type WaitingCode } from '../contracts/failures.ts'
import type { CallRef } from '../contracts/recording.ts'
import { backoffMs } from '../platform/backoff.ts'
import { isDatabaseOutage } from '../platform/database-errors.ts'
import { withLogContext } from '../platform/log-context.ts'
import { redact } from '../platform/redact.ts'
import { FileBusy, Superseded } from '../recordings/file-turns.ts'
import { withAttempt, type ActivityAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { diskFailureCode } from './disk-failures.ts'
import { failAttempt, RetryLater } from './failures.ts'

type Needs = Pick<Dependencies, 'database' | 'pauses' | 'logger' | 'alarms'>
/** The call, and possibly the recording, of an activity's input. */
type Subject = CallRef & { sourceUrl?: string }

/** `maxHeartbeatThrottleInterval` of the worker must not be longer than this. */
export const HEARTBEAT_MS = 3000
/** Raised after an error of the worker's disk. The next successful download clears it. */
export const SPOOL_ALARM = 'SpoolUnavailable'
/** The pause until the next attempt if a worker shuts down. */
const AFTER_SHUTDOWN_MS = 500
const SHORTEST_PAUSE_MS = 100
/** Waits that are not written to the row: PostgreSQL is unavailable, or the next attempt follows immediately. */
const NOT_RECORDED = new Set<string>(['DatabaseUnavailable', 'WorkerShutdown'] satisfies WaitingCode[])

export function activityInterceptor(deps: Needs): ActivityInterceptorsFactory {
  return (context) => ({
    inbound: {
      execute: (input, next) => {
        const subject = subjectOf(input.args)
        return withLogContext({ callSid: subject?.callSid, requestId: subject?.requestId }, () =>
          withHeartbeats(context, (reportProgress) => {
            const attempt = attemptOf(context, reportProgress)
            return report(deps, attempt, context.info.activityType, subject, () =>
              withTypedFailures(deps, context, attempt, () => withAttempt(attempt, () => next(input))),
            )
          }),
        )
      },
    },
  })
}

/** Heartbeats continue while a wait is recorded, because that may take longer than the heartbeat timeout. */
async function withHeartbeats<T>(context: Context, work: (reportProgress: (bytes: number) => void) => Promise<T>): Promise<T> {
  let bytes = 0
  const heartbeats = setInterval(() => context.heartbeat({ bytes }), HEARTBEAT_MS)
  try {
    return await work((reached) => void (bytes = reached))
  } finally {
    clearInterval(heartbeats)
  }
}

function attemptOf({ info, cancellationSignal }: Context, reportProgress: (bytes: number) => void): ActivityAttempt {
  return {
    number: info.attempt,
    scheduledMs: info.currentAttemptScheduledTimestampMs,
    idempotencyKey: `${info.workflowExecution?.runId}/${info.activityId}`,
    signal: cancellationSignal,
    reportProgress,
  }
}

/** Logs how an attempt about a call ended. If the activity is retried later, writes the reason to the row. */
async function report<T>(
  deps: Needs,
  { number: attempt }: ActivityAttempt,
  step: string,
  subject: Subject | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!subject) return work()
  try {
    const result = await work()
    deps.logger.info({ step, attempt }, 'Recording step done')
    return result
  } catch (error) {
    if (!(error instanceof ApplicationFailure)) throw error
    const { type: code, message: reason, category, nextRetryDelay } = error
    if (category === ApplicationFailureCategory.BENIGN) {
      deps.logger.warn({ step, attempt, code, reason, pauseMs: Number(nextRetryDelay) }, 'Recording step waits')
      await recordWait(deps, subject, error)
    } else deps.logger.warn({ step, attempt, code, reason }, 'Recording step failed')
    throw error
  }
}

/** Best effort: the activity is retried even if the row cannot be written. */
async function recordWait({ database, logger }: Needs, { callSid, sourceUrl }: Subject, failure: ApplicationFailure): Promise<void> {
  const { type, message, nextRetryDelay } = failure
  if (NOT_RECORDED.has(type ?? '')) return
  const nextTryAt = new Date(Date.now() + Number(nextRetryDelay)).toISOString()
  const wait = { callSid, ...(sourceUrl !== undefined && { sourceUrl }), nextTryAt, reason: { code: type!, error: message } }
  await recordRetryWait(database, wait).catch((error: unknown) =>
    logger.warn({ error, callSid }, 'The reason why a recording waits cannot be written to its row'),
  )
}

/** Converts everything that the activity throws to a typed failure or a cancellation. */
async function withTypedFailures<T>(deps: Needs, context: Context, attempt: ActivityAttempt, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isCancelled(attempt.signal)) throw attempt.signal.reason
    const failure = attempt.signal.aborted
      ? new RetryLater('WorkerShutdown', 'The worker is shutting down', AFTER_SHUTDOWN_MS)
      : typed(deps, context, error)
    throw failure instanceof RetryLater ? asApplicationFailure(deps, attempt, failure) : failure
  }
}

function typed(deps: Needs, context: Context, error: unknown): ApplicationFailure | RetryLater {
  if (error instanceof ApplicationFailure || error instanceof RetryLater) return error
  if (error instanceof Superseded) return failAttempt(SPOOL_FILE_LOST, error.message)
  const code = error instanceof FileBusy ? 'SpoolUnavailable' : diskFailureCode(error)
  if (code) {
    deps.alarms.raise(SPOOL_ALARM, (error as Error).message)
    return new RetryLater(code, (error as Error).message)
  }
  if (isDatabaseOutage(error)) return new RetryLater('DatabaseUnavailable', 'PostgreSQL is unavailable')
  const { activityType: activity, workflowExecution } = context.info
  deps.logger.error({ error, activity, workflowId: workflowExecution?.workflowId }, 'Activity failed unexpectedly')
  return failAttempt('InternalError', error instanceof Error ? `${error.name}: ${error.message}` : String(error))
}

/** The category BENIGN marks an expected failure. Temporal neither logs it nor counts it as an error. */
function asApplicationFailure({ pauses }: Needs, attempt: ActivityAttempt, { code, message, pauseMs }: RetryLater): ApplicationFailure {
  return ApplicationFailure.create({
    type: code,
    message: redact(message),
    nextRetryDelay: Math.max(SHORTEST_PAUSE_MS, Math.round(pauseMs ?? backoffMs(attempt.number, pauses))),
    category: ApplicationFailureCategory.BENIGN,
  })
}

/** True if the workflow, a person or a timeout cancelled the activity. A worker shutdown is no cancellation: another worker continues. */
function isCancelled({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof CancelledFailure && reason.message !== 'WORKER_SHUTDOWN'
}

function subjectOf([input]: unknown[]): Subject | undefined {
  return typeof input === 'object' && input !== null && 'callSid' in input ? (input as Subject) : undefined
}
