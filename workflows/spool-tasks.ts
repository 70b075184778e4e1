// Runs activities on the worker whose disk has a file, and finds out whether that worker is lost or only busy.
import { isCancellation, proxyActivities, type ActivityInterfaceFor } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { spoolQueues } from '../contracts/names.ts'
import { refTo, type CallRef, type RecordingPolicy } from '../contracts/recording.ts'
import { isScheduleToStartTimeout } from './failure.ts'

/**
 * Runs an activity on the worker whose disk has the file. If no worker starts the task in time, either the worker is lost or its queue is
 * long. Then `checkSpool` asks the worker, and while the worker has the file the task is queued again.
 */
export async function onSpool<T>(
  queue: string,
  policy: RecordingPolicy,
  source: CallRef & { sourceUrl?: string },
  work: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isScheduleToStartTimeout(error) || !(await checkSpool(queue, policy, source))) throw error
    }
  }
}

async function checkSpool(
  queue: string,
  policy: RecordingPolicy,
  { sourceUrl, ...call }: CallRef & { sourceUrl?: string },
): Promise<boolean> {
  if (sourceUrl === undefined) return false
  return onSpoolControl(queue, policy)
    .checkSpool({ ...refTo(call), sourceUrl })
    .catch((error: unknown) => {
      if (isCancellation(error)) throw error
      return false
    })
}

/** A worker that runs responds at once. */
export function onSpoolControl(queue: string, { spoolLostAfterMs }: RecordingPolicy): ActivityInterfaceFor<Activities> {
  return proxyActivities<Activities>({
    taskQueue: spoolQueues(queue).control,
    scheduleToStartTimeout: Math.min(30_000, spoolLostAfterMs),
    startToCloseTimeout: '30s',
    retry: { maximumAttempts: 3 },
  })
}
