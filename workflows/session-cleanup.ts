import { proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { CLEAN_UP_KINDS, type CleanUpKind } from './contracts/maintenance.ts'
import { RECORDINGS_QUEUE } from './contracts/names.ts'

const { cleanUp } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '10m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '1h', // the schedule's next run looks again
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
})

/** Deletes what has expired, one kind after the other. Begun by its schedule; safe to run twice at once. */
export async function SessionCleanupWorkflow(): Promise<Partial<Record<CleanUpKind, number>>> {
  const rows: Partial<Record<CleanUpKind, number>> = {}
  for (const kind of CLEAN_UP_KINDS) {
    rows[kind] = await cleanUp(kind)
    setCurrentDetails(
      Object.entries(rows)
        .map(([name, count]) => `${name}: ${count}`)
        .join(', '),
    )
  }
  return rows
}
