import { proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import type { RecoveryResult } from '../contracts/maintenance.ts'
import { RECORDINGS_QUEUE } from '../contracts/names.ts'

const { recoverRecordings } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '1h', // the schedule's next run repeats it
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
})

/** Calls of the activity in one run. The schedule's next run handles what is left. */
const MAX_ROUNDS = 10

/** Enqueues recordings that failed and are due, and recordings that wait without an open run. Its schedule starts it. */
export async function RecoveryWorkflow(): Promise<RecoveryResult> {
  let result: RecoveryResult = { due: 0, unowned: 0, stuck: 0, more: true } // `unowned`: kept because old histories contain it
  for (let rounds = 0; rounds < MAX_ROUNDS && result.more; rounds += 1) {
    const { due, unowned, stuck, more = false } = await recoverRecordings()
    result = { due: result.due + due, unowned: result.unowned + unowned, stuck, more }
  }
  setCurrentDetails(
    `Enqueued ${result.due} calls with failed recordings and ${result.unowned} calls without an open run; ${result.stuck} runs are stuck`,
  )
  return result
}
