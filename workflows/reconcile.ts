// Compares our rows with Exotel's list of ended calls. Calls and recordings that no webhook reported are recorded as events of our own.
import { continueAsNew, isCancellation, proxyActivities } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { readList, startOf, type ListProgress } from './calls-list.ts'
import type { PassEnd } from '../contracts/maintenance.ts'
import { EXOTEL_API_QUEUE, RECORDINGS_QUEUE } from '../contracts/names.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const
const { startReconcilePass, finishReconcilePass, listCallsWithoutLink } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '30s',
  retry,
})
const onExotelApi = { taskQueue: EXOTEL_API_QUEUE, startToCloseTimeout: '2m', heartbeatTimeout: '30s', retry } as const
/** Longer than outages last. If a page still fails, the pass fails, and the next pass starts where the last complete one ended. */
const { readListPage } = proxyActivities<Activities>({ ...onExotelApi, scheduleToCloseTimeout: '12h' })
/** One request covers 20 calls, so it has precedence over requests for single calls (1 is the highest priority, 3 the default). */
const { sweepLinks } = proxyActivities<Activities>({ ...onExotelApi, scheduleToCloseTimeout: '2m', priority: { priorityKey: 1 } })

/**
 * One pass, started by its schedule. A pass from which calls may be missing has a problem. The next pass starts where the last complete
 * one ended.
 */
export async function ReconcileWorkflow(kind: 'regular' | 'nightly', progress?: ListProgress): Promise<PassEnd> {
  const start = progress ?? startOf(await startReconcilePass({ kind }))
  const end = await readList(start, readListPage, {
    source: 'reconcile',
    resume: (reached) => continueAsNew<typeof ReconcileWorkflow>(kind, reached),
  })
  await finishReconcilePass(end)
  return end
}

/**
 * A link sweep: one run that requests the links of calls that wait for one, up to 20 calls with each request. Its schedule starts it every
 * `LINK_SWEEP_EVERY_MINUTES`.
 * @returns `asked`: the number of calls whose links were to be requested. The name is kept because old histories contain it.
 */
export async function LinkSweepWorkflow(): Promise<{ asked: number; found: number }> {
  const portions = await listCallsWithoutLink()
  let found = 0
  for (const callSids of portions) found += await sweepLinks(callSids).catch(ifNotCancelled)
  return { asked: portions.flat().length, found }
}

/** A request that failed found no link. A later sweep may request the same calls again. */
function ifNotCancelled(error: unknown): number {
  if (isCancellation(error)) throw error
  return 0
}
