import { enqueueRecovery, findDue, findOrphaned, deferRecovery, type Unfinished } from '../calls/recovery.ts'
import { counter } from '../platform/metrics.ts'
import type { RecoveryResult } from '../contracts/maintenance.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { countStuckRuns, isRunOpen } from '../temporal/open-runs.ts'

const STUCK_ALARM = 'WorkflowsStuck'
const recovered = counter('recovery_events_total', 'Calls that recovery has begun anew', ['reason'])

/**
 * Begins anew what has failed and may yet succeed, and what waits without a workflow that owns it. Only inserts events; the
 * relay does the rest. A failed recording that is due is named to its call's workflow also while another recording keeps that one open.
 */
export function createRecoverRecordings(deps: Pick<Dependencies, 'database' | 'temporal' | 'recovery' | 'alarms' | 'logger'>) {
  const { database, temporal, recovery, alarms, logger } = deps
  const [firstPauseMs = 0] = recovery.plan.pausesMs
  return async (): Promise<RecoveryResult> => {
    const { signal } = currentAttempt()
    const due = await findDue(database, recovery.perPass)
    const quiet = await findOrphaned(database, { limit: recovery.perPass, quietMs: recovery.quietMs })
    const begun = {
      due: await beginAll(due, 'due', deliverDue, signal),
      unowned: await beginAll(quiet, 'unowned', beginUnlessOpen, signal),
    }
    const stuck = await countStuckRuns(temporal).catch((error: unknown) => {
      logger.warn({ error }, 'Recording runs that are stuck cannot be counted: does this Temporal server know TemporalReportedProblems?')
      return 0
    })
    if (stuck > 0) alarms.raise(STUCK_ALARM, `${stuck} open runs fail their workflow tasks: see TemporalReportedProblems in the Web UI`)
    else alarms.clear(STUCK_ALARM)
    return { ...begun, stuck, more: due.length === recovery.perPass || quiet.length === recovery.perPass }
  }

  async function beginAll(
    calls: Unfinished[],
    why: 'due' | 'unowned',
    begin: (call: Unfinished) => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<number> {
    let begun = 0
    for (const call of calls) {
      signal.throwIfAborted()
      if (await begin(call)) begun += 1
    }
    recovered.inc({ reason: why }, begun)
    return begun
  }

  /**
   * A search has no link to signal: it begins again once the run has ended. A run that is open may have the recording in hand already,
   * which may take long, so that it is not named again soon.
   */
  async function deliverDue(call: Unfinished): Promise<boolean> {
    if (call.sourceUrls.length === 0) return beginUnlessOpen(call)
    return beginCall(call, (await isOpen(call)) ? recovery.openRunPauseMs : firstPauseMs)
  }

  async function beginUnlessOpen(call: Unfinished): Promise<boolean> {
    if (!(await isOpen(call))) return beginCall(call, firstPauseMs)
    await deferRecovery(database, call.callSid, firstPauseMs)
    return false
  }

  /** One call that Temporal can say nothing of must not keep the others from being looked at. */
  function isOpen({ callSid }: Unfinished): Promise<boolean> {
    return isRunOpen(temporal, callSid).catch((error: unknown) => {
      logger.warn({ error, callSid }, 'Recording run cannot be looked at by recovery')
      return true
    })
  }

  /** @param leaseMs until the call is due again, should nothing be concluded */
  async function beginCall(call: Unfinished, leaseMs: number): Promise<true> {
    const { callSid, sourceUrls, occasion } = call
    await enqueueRecovery(database, call, leaseMs)
    logger.info({ callSid, occasion, recordings: sourceUrls.length }, 'Recording begun anew by recovery')
    return true
  }
}
