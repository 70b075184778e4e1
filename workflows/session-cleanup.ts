import { ApplicationFailure, isCancellation, proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { CLEAN_UP_INCOMPLETE, CLEAN_UP_KINDS, type CleanUpKind } from '../contracts/maintenance.ts'
import { RECORDINGS_QUEUE } from '../contracts/names.ts'

/** Time limit for one kind. The schedule's next run deletes what is left. */
const KIND_TIMEOUT = '1h'

const { cleanUp } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: KIND_TIMEOUT,
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: KIND_TIMEOUT,
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
})

/**
 * Deletes expired rows, one kind after the other. A kind that fails does not stop the others, but the run fails at its end.
 * Its schedule starts it. Two runs at the same time are safe.
 */
export async function SessionCleanupWorkflow(): Promise<Partial<Record<CleanUpKind, number>>> {
  const rows: Partial<Record<CleanUpKind, number>> = {}
  const failures: string[] = []
  for (const kind of CLEAN_UP_KINDS) {
    try {
      rows[kind] = await cleanUp(kind)
    } catch (error) {
      if (isCancellation(error)) throw error
      failures.push(`${kind}: ${reasonOf(error)}`)
    }
    setCurrentDetails([...Object.entries(rows).map(([name, count]) => `${name}: ${count}`), ...failures].join(', '))
  }
  if (failures.length > 0)
    throw ApplicationFailure.create({ type: CLEAN_UP_INCOMPLETE, message: failures.join('; '), nonRetryable: true, details: [rows] })
  return rows
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
