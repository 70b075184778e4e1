import { deleteExpired, rotateSigningKeys } from '../accounts/clean-up.ts'
import { eraseOldBodies } from '../calls/clean-up.ts'
import { counter } from '../platform/metrics.ts'
import type { CleanUpKind } from '../workflows/contracts/maintenance.ts'
import type { Dependencies } from './dependencies.ts'
import { runEffect } from './run.ts'

const BATCH = 500

const cleaned = counter('cleaned_up_rows_total', 'Rows that clean-up deleted or emptied', ['what'])

/** Cleans up one kind of row until none is left; returns how many. */
export function createCleanUp(deps: Pick<Dependencies, 'database' | 'cleanUp' | 'alarms' | 'logger' | 'pauses'>) {
  const { database, cleanUp } = deps
  const batchOf = (kind: CleanUpKind): Promise<number> => {
    if (kind === 'signingKeys') return rotateSigningKeys(database, cleanUp.sessionDays)
    if (kind === 'webhookBodies') return eraseOldBodies(database, cleanUp.webhookBodyDays, BATCH)
    return deleteExpired(database, kind, BATCH)
  }
  return (kind: CleanUpKind): Promise<number> =>
    runEffect(deps, async (run) => {
      let rows = 0
      for (let last = BATCH; last === BATCH && !run.signal.aborted; rows += last) last = await batchOf(kind)
      run.signal.throwIfAborted()
      cleaned.inc({ what: kind }, rows)
      return rows
    })
}
