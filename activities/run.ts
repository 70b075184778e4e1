// What every activity has around its one effect: heartbeats, the end by cancellation, and names for the errors of others.
import { Context } from '@temporalio/activity'
import { ApplicationFailure, ApplicationFailureCategory, CancelledFailure } from '@temporalio/common'
import { setInterval } from 'node:timers'
import { recordRetryWait } from '../calls/record-retry-wait.ts'
import type { Queryable } from '../platform/database.ts'
import { isDatabaseOutage } from '../platform/database-errors.ts'
import type { Alarms } from '../platform/alarms.ts'
import { withLogContext } from '../platform/log-context.ts'
import type { Logger } from '../platform/logger.ts'
import type { Pauses } from '../platform/retry.ts'
import { SpoolFull } from '../recordings/spool-space.ts'
import type { WaitingCode } from '../contracts/failures.ts'
import type { CallRef } from '../contracts/recording.ts'
import { isCancelledByWorkflow } from './cancellation.ts'
import { failAttempt, retryLater } from './failures.ts'

export interface Run {
  attempt: number
  /** Of this task in all of Temporal: the same in each of its attempts. */
  name: string
  signal: AbortSignal
  /** By the workflow or a person; false where the attempt was only given up, since a successor may be at work. */
  cancelled(): boolean
  /** Told to Temporal with the next heartbeat. */
  progress(bytes: number): void
}

interface Surroundings {
  database: Queryable
  pauses: Pauses
  logger: Logger
  alarms: Alarms
}

/** The worker must not throttle heartbeats to fewer: see `maxHeartbeatThrottleInterval`. */
export const HEARTBEAT_MS = 3000
/** The worker's disk; cleared by the next download that fits. */
export const SPOOL_ALARM = 'SpoolUnavailable'
/** The row cannot be written, or the next worker is there at once. */
const UNNOTED = new Set<string>(['DatabaseUnavailable', 'WorkerShutdown'] satisfies WaitingCode[])
const DISK_CODES: Record<string, 'SpoolFull' | 'SpoolUnavailable'> = {
  ENOSPC: 'SpoolFull',
  EDQUOT: 'SpoolFull',
  EROFS: 'SpoolUnavailable',
  EACCES: 'SpoolUnavailable',
  EIO: 'SpoolUnavailable',
  ENOENT: 'SpoolUnavailable',
}

/** Runs one effect; whatever it throws leaves as a typed failure. A task that is given back says why on its recording's row. */
export async function runActivity<T>(
  deps: Surroundings,
  subject: CallRef & { sourceUrl?: string },
  effect: (run: Run) => Promise<T>,
): Promise<T> {
  const { attempt, activityType: step } = Context.current().info
  const perform = async (progress: Run['progress']): Promise<T> => {
    try {
      const result = await performEffect(deps, effect, progress)
      deps.logger.info({ step, attempt }, 'Recording step done')
      return result
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error
      const waits = error.category === ApplicationFailureCategory.BENIGN
      const pauseMs = waits ? Number(error.nextRetryDelay) : undefined
      deps.logger.warn(
        { step, attempt, code: error.type, reason: error.message, pauseMs },
        waits ? 'Recording step waits' : 'Recording step failed',
      )
      if (waits) await recordWait(deps, subject, error)
      throw error
    }
  }
  return withLogContext({ callSid: subject.callSid, requestId: subject.requestId }, () => withHeartbeats(perform))
}

/** As {@link runActivity}, for work that is about no single call. */
export function runEffect<T>(deps: Omit<Surroundings, 'database'>, effect: (run: Run) => Promise<T>): Promise<T> {
  return withHeartbeats((progress) => performEffect(deps, effect, progress))
}

/** Until the very end: writing down why a task waits may take longer than the heartbeat timeout. */
async function withHeartbeats<T>(work: (progress: Run['progress']) => Promise<T>): Promise<T> {
  const context = Context.current()
  let bytes = 0
  const heartbeats = setInterval(() => context.heartbeat({ bytes }), HEARTBEAT_MS)
  try {
    return await work((reached) => void (bytes = reached))
  } finally {
    clearInterval(heartbeats)
  }
}

async function performEffect<T>(
  { pauses, logger, alarms }: Omit<Surroundings, 'database'>,
  effect: (run: Run) => Promise<T>,
  progress: Run['progress'],
): Promise<T> {
  const context = Context.current()
  const { attempt, activityId, workflowExecution } = context.info
  const name = `${workflowExecution?.runId}/${activityId}`
  const signal = context.cancellationSignal
  try {
    return await effect({ attempt, name, signal, cancelled: () => isCancelledByWorkflow(signal), progress })
  } catch (error) {
    if (signal.aborted) throw stopped(signal, pauses)
    if (error instanceof ApplicationFailure) throw error
    const code = diskFailureCode(error)
    if (code) {
      alarms.raise(SPOOL_ALARM, (error as Error).message)
      throw retryLater(code, (error as Error).message, { attempt, pauses })
    }
    if (isDatabaseOutage(error)) throw retryLater('DatabaseUnavailable', 'PostgreSQL does not take the statement', { attempt, pauses })
    logger.error(
      { error, activity: context.info.activityType, workflowId: workflowExecution?.workflowId },
      'Recording step failed unexpectedly',
    )
    throw failAttempt('InternalError', error instanceof Error ? `${error.name}: ${error.message}` : String(error))
  }
}

/** Best effort: the task waits whether or not its row says so. */
async function recordWait(
  { database, logger }: Surroundings,
  { callSid, sourceUrl }: { callSid: string; sourceUrl?: string },
  { type, message, nextRetryDelay }: ApplicationFailure,
): Promise<void> {
  if (UNNOTED.has(type ?? '')) return
  const nextTryAt = new Date(Date.now() + Number(nextRetryDelay)).toISOString()
  await recordRetryWait(database, {
    callSid,
    ...(sourceUrl !== undefined && { sourceUrl }),
    nextTryAt,
    reason: { code: type!, error: message },
  }).catch((error: unknown) => logger.warn({ error, callSid }, 'Recording wait not noted on its row'))
}

/** What an error says about the worker's disk; undefined where it is about something else. */
export function diskFailureCode(error: unknown): 'SpoolFull' | 'SpoolUnavailable' | undefined {
  return error instanceof SpoolFull ? 'SpoolFull' : DISK_CODES[(error as NodeJS.ErrnoException).code ?? '']
}

/** A worker that leaves gives its task to the next at once; a person's cancellation is a cancellation. */
function stopped(signal: AbortSignal, pauses: Pauses): Error {
  return isCancelled(signal)
    ? (signal.reason as Error)
    : retryLater('WorkerShutdown', 'The worker is shutting down', { attempt: 1, pauses, ms: 500 })
}

function isCancelled({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof CancelledFailure && reason.message !== 'WORKER_SHUTDOWN'
}
