import { CancellationScope, continueAsNew, isCancellation, proxyActivities, setCurrentDetails, sleep } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import type { BulkRetryRequest } from '../contracts/maintenance.ts'
import { RECORDINGS_QUEUE } from '../contracts/names.ts'

const { retryNextCalls, endBulkRetry } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '2m',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
})

/** After each portion of 25 calls: at most five calls per second, so that current calls are not delayed. */
const PAUSE = '5s'
/** Bounds the history of one run. */
const PORTIONS_PER_RUN = 200

/** Starts all failed calls again that match the filters of a row of `bulk_retries`, the newest first. An operator starts it. */
export async function BulkRetryWorkflow(request: BulkRetryRequest): Promise<void> {
  try {
    for (let portions = 1; await retryNextCalls(request); portions += 1) {
      setCurrentDetails(`${portions} portions of calls in this run`)
      await sleep(PAUSE, { summary: 'next calls of the bulk retry' })
      if (portions >= PORTIONS_PER_RUN) await continueAsNew<typeof BulkRetryWorkflow>(request)
    }
    await endBulkRetry({ ...request, state: 'done' })
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => endBulkRetry({ ...request, state: 'cancelled' }))
    throw error
  }
}
