import { enqueueRecovery, findDue, findWithoutOpenRun, deferRecovery, type Unfinished } from '../calls/recovery.ts'
import { counter } from '../platform/metrics.ts'
import type { RecoveryResult } from '../contracts/maintenance.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { countStuckRuns, isRunOpen } from '../temporal/open-runs.ts'

const STUCK_ALARM = 'WorkflowsStuck'
const recovered = counter('recovery_events_total', 'Calls for which recovery enqueued an event', ['reason'])

/**
 * Retries recordings that failed and may still succeed, and calls that wait without an open run. Only inserts events, which the
 * relay sends to Temporal. A failed recording that is due is also signaled to a run that is still open because of another recording.
 */
export function createRecoverRecordings(deps: Pick<Dependencies, 'database' | 'temporal' | 'recovery' | 'alarms' | 'logger'>) {
  const { database, temporal, recovery, alarms, logger } = deps
  const [firstPauseMs = 0] = recovery.plan.pausesMs
  return async (): Promise<RecoveryResult> => {
    const { signal } = currentAttempt()
    const due = await findDue(database, recovery.perPass)
    const withoutOpenRun = await findWithoutOpenRun(database, { limit: recovery.perPass, quietMs: recovery.quietMs })
    const started = {
      due: await startAll(due, 'due', startDue, signal),
      unowned: await startAll(withoutOpenRun, 'unowned', startUnlessOpen, signal),
    }
    const stuck = await countStuckRuns(temporal).catch((error: unknown) => {
      logger.warn(
        { error },
        'Stuck workflow runs cannot be counted: check that the Temporal server has the search attribute TemporalReportedProblems',
      )
      return 0
    })
    if (stuck > 0)
      alarms.raise(
        STUCK_ALARM,
        `The workflow tasks of ${stuck} open runs fail: see the search attribute TemporalReportedProblems in the Web UI`,
      )
    else alarms.clear(STUCK_ALARM)
    return { ...started, stuck, more: due.length === recovery.perPass || withoutOpenRun.length === recovery.perPass }
  }

  async function startAll(
    calls: Unfinished[],
    reason: 'due' | 'unowned',
    start: (call: Unfinished) => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<number> {
    let started = 0
    for (const call of calls) {
      signal.throwIfAborted()
      if (await start(call)) started += 1
    }
    recovered.inc({ reason }, started)
    return started
  }

  /**
   * A call without a link has nothing to signal: its search starts again after the run has ended. An open run may already be transferring
   * the recording, which may take long, so the next event for it follows after a longer pause.
   */
  async function startDue(call: Unfinished): Promise<boolean> {
    if (call.sourceUrls.length === 0) return startUnlessOpen(call)
    return startCall(call, (await isOpen(call)) ? recovery.openRunPauseMs : firstPauseMs)
  }

  async function startUnlessOpen(call: Unfinished): Promise<boolean> {
    if (!(await isOpen(call))) return startCall(call, firstPauseMs)
    await deferRecovery(database, call.callSid, firstPauseMs)
    return false
  }

  /** If Temporal cannot answer for one call, that call counts as open, so that recovery continues with the others. */
  function isOpen({ callSid }: Unfinished): Promise<boolean> {
    return isRunOpen(temporal, callSid).catch((error: unknown) => {
      logger.warn({ error, callSid }, 'Recovery cannot check whether the run of a call is open: the next pass checks it again')
      return true
    })
  }

  /** @param leaseMs the time until the call is due again if no recording is concluded */
  async function startCall(call: Unfinished, leaseMs: number): Promise<true> {
    const { callSid, sourceUrls, occasion } = call
    await enqueueRecovery(database, call, leaseMs)
    logger.info({ callSid, occasion, recordings: sourceUrls.length }, 'Recovery enqueued an event for a call')
    return true
  }
}
