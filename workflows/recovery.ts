import { proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import type { RecoveryResult } from './contracts/maintenance.ts'
import { RECORDINGS_QUEUE } from './contracts/names.ts'

const { recoverRecordings } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '1h', // the schedule's next run looks again
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
})

/** One look for recordings that failed and are due, or wait without an owner. Begun by its schedule. */
export async function RecoveryWorkflow(): Promise<RecoveryResult> {
  const result = await recoverRecordings()
  setCurrentDetails(`${result.due} failed recordings and ${result.unowned} calls without a workflow begun anew; ${result.stuck} runs stuck`)
  return result
}
