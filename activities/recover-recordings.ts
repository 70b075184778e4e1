import { beginAgain, findDue, findQuiet, lookAgain, type Unfinished } from '../calls/recovery.ts'
import { counter } from '../platform/metrics.ts'
import type { RecoveryResult } from '../workflows/contracts/maintenance.ts'
import type { Dependencies } from './dependencies.ts'
import { countStuckRuns, isRunOpen } from './recording-runs.ts'
import { runEffect } from './run.ts'

const STUCK_ALARM = 'WorkflowsStuck'
const recovered = counter('recovery_events_total', 'Calls that recovery has begun anew', ['why'])

/**
 * Begins anew what has failed and may yet succeed, and what waits without a workflow that owns it. Only inserts events; the
 * relay does the rest. A call whose workflow is open is left to it.
 */
export function createRecoverRecordings(
  deps: Pick<Dependencies, 'database' | 'temporal' | 'recovery' | 'alarms' | 'logger' | 'waitScale'>,
) {
  const { database, temporal, recovery, alarms, logger } = deps
  return (): Promise<RecoveryResult> =>
    runEffect(deps, async () => {
      const due = await beginAll(await findDue(database, recovery.perPass), 'due')
      const quiet = await findQuiet(database, { limit: recovery.perPass, quietMs: recovery.quietMs })
      const unowned = await beginAll(quiet, 'unowned')
      const stuck = await countStuckRuns(temporal).catch((error: unknown) => {
        logger.warn({ error }, 'Recording runs that are stuck cannot be counted: does this Temporal server know TemporalReportedProblems?')
        return 0
      })
      if (stuck > 0) alarms.raise(STUCK_ALARM, `${stuck} open runs fail their workflow tasks: see TemporalReportedProblems in the Web UI`)
      else alarms.clear(STUCK_ALARM)
      return { due, unowned, stuck }
    })

  async function beginAll(calls: Unfinished[], why: 'due' | 'unowned'): Promise<number> {
    let begun = 0
    for (const call of calls) {
      const [firstPauseMs = 0] = recovery.plan.pausesMs
      if (await isRunOpen(temporal, call.callSid)) {
        await lookAgain(database, call.callSid, firstPauseMs)
        continue
      }
      await beginAgain(database, call, firstPauseMs)
      begun += 1
      recovered.inc({ why })
      logger.info({ callSid: call.callSid, why, recordings: call.sourceUrls.length }, 'Recording begun anew by recovery')
    }
    return begun
  }
}
