import { Context } from '@temporalio/activity'
import { FileBusy, Superseded, type Attempt } from '../recordings/file-turns.ts'
import { SPOOL_FILE_LOST } from '../contracts/failures.ts'
import type { Dependencies } from './dependencies.ts'
import { failAttempt, retryLater } from './failures.ts'
import { SPOOL_ALARM, type Run } from './run.ts'

/** This attempt of the running activity, as the spool orders attempts on one file. */
export function thisAttempt({ signal }: Run): Attempt {
  return { scheduledMs: Context.current().info.currentAttemptScheduledTimestampMs, signal }
}

/** A failure for what the spool throws where another attempt has the file; every other error stays as it is. */
export function asWriterFailure({ alarms, pauses }: Pick<Dependencies, 'alarms' | 'pauses'>, { attempt }: Run, error: unknown): unknown {
  if (error instanceof Superseded) return failAttempt(SPOOL_FILE_LOST, error.message)
  if (!(error instanceof FileBusy)) return error
  alarms.raise(SPOOL_ALARM, error.message)
  return retryLater('SpoolUnavailable', error.message, { attempt, pauses })
}
