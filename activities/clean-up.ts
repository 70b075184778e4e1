import { ApplicationFailure } from '@temporalio/common'
import { setTimeout as pause } from 'node:timers/promises'
import { deleteExpired, rotateSigningKeys, type CleanUpBatch } from '../accounts/clean-up.ts'
import { recordCleanUpFailed, recordCleanUpFinished } from '../accounts/clean-up-runs.ts'
import { eraseOldBodies } from '../calls/clean-up.ts'
import { isStatementTimeout } from '../platform/database-errors.ts'
import { counter } from '../platform/metrics.ts'
import { redact } from '../platform/redact.ts'
import { CLEAN_UP_TIMED_OUT, type CleanUpKind } from '../contracts/maintenance.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'

const BATCH = 500
const PROBLEM_MAX_LENGTH = 500
/**
 * PostgreSQL reports a statement timeout before it releases the locks of the statement. The next batch skips rows that are still locked, so
 * batches after a timeout that find nothing are repeated.
 */
const LOCK_RELEASE = { batches: 5, pauseMs: 200 }

const cleaned = counter('cleaned_up_rows_total', 'Rows that clean-up deleted, or whose body it deleted', ['kind'])

/** Cleans up all rows of one kind and returns their number. Records in PostgreSQL that it finished, or why it failed. */
export function createCleanUp(deps: Pick<Dependencies, 'database' | 'cleanUp' | 'logger'>) {
  const { database, logger } = deps
  return async (kind: CleanUpKind): Promise<number> => {
    try {
      const rows = await cleanUpAll(deps, kind)
      await recordCleanUpFinished(database, kind)
      return rows
    } catch (error) {
      const problem = redact(error instanceof Error ? error.message : String(error)).slice(0, PROBLEM_MAX_LENGTH)
      logger.warn({ kind, problem }, 'Clean-up failed')
      await recordCleanUpFailed(database, kind, problem).catch(() => {})
      throw error
    }
  }
}

/**
 * If a statement times out, the batch size is halved. How many rows one statement can handle depends on the server, and on the number of
 * rows that reference them.
 */
async function cleanUpAll(deps: Pick<Dependencies, 'database' | 'cleanUp'>, kind: CleanUpKind): Promise<number> {
  const { signal, reportProgress } = currentAttempt()
  let limit = BATCH
  let rows = 0
  let emptyBatches = 0
  for (let more = true; more;) {
    signal.throwIfAborted()
    try {
      const batch = await cleanUpBatch(deps, kind, limit)
      cleaned.inc({ kind }, batch.rows)
      rows += batch.rows
      const mayBeLocked = limit < BATCH && batch.rows === 0 && emptyBatches < LOCK_RELEASE.batches
      if (mayBeLocked) {
        emptyBatches += 1
        await pause(LOCK_RELEASE.pauseMs, undefined, { signal })
      }
      more = batch.more || mayBeLocked
      reportProgress(rows)
    } catch (error) {
      if (!isStatementTimeout(error)) throw error
      if (limit === 1) throw timedOut(kind)
      limit = Math.ceil(limit / 2)
    }
  }
  return rows
}

async function cleanUpBatch(
  { database, cleanUp }: Pick<Dependencies, 'database' | 'cleanUp'>,
  kind: CleanUpKind,
  limit: number,
): Promise<CleanUpBatch> {
  if (kind === 'signingKeys') return { rows: await rotateSigningKeys(database, cleanUp.sessionDays), more: false }
  if (kind !== 'webhookBodies') return deleteExpired(database, kind, limit)
  const rows = await eraseOldBodies(database, cleanUp.webhookBodyDays, limit)
  return { rows, more: rows === limit }
}

/** Not retryable: the server works, but this statement always exceeds the timeout, so an immediate retry would fail in the same way. */
function timedOut(kind: CleanUpKind): ApplicationFailure {
  return ApplicationFailure.create({
    type: CLEAN_UP_TIMED_OUT,
    message: `Clean-up of ${kind}: a statement for one row exceeded the statement timeout`,
    nonRetryable: true,
  })
}
