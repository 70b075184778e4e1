import { proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import type { RecoveryResult } from '../contracts/maintenance.ts'
import { RECORDINGS_QUEUE } from '../contracts/names.ts'

const { recoverRecordings } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '1h', // the schedule's next run looks again
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
})

/** In one run; what is left then is the next run's. */
const LOOKS = 10

/** Looks for recordings that failed and are due, or wait without an owner. Begun by its schedule. */
export async function RecoveryWorkflow(): Promise<RecoveryResult> {
  let result: RecoveryResult = { due: 0, unowned: 0, stuck: 0, more: true }
  for (let looks = 0; looks < LOOKS && result.more; looks += 1) {
    const { due, unowned, stuck, more = false } = await recoverRecordings()
    result = { due: result.due + due, unowned: result.unowned + unowned, stuck, more }
  }
  setCurrentDetails(`${result.due} failed recordings and ${result.unowned} calls without a workflow begun anew; ${result.stuck} runs stuck`)
  return result
}
