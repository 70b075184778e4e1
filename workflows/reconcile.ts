// Our rows against Exotel's list of ended calls: what no webhook told us is brought in by events of our own.
import { continueAsNew, isCancellation, proxyActivities } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { readList, startOf, type ListProgress } from './calls-list.ts'
import type { PassEnd } from '../contracts/maintenance.ts'
import { EXOTEL_API_QUEUE, RECORDINGS_QUEUE } from '../contracts/names.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const
const { startPass, finishPass, callsWithoutLink } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '30s',
  retry,
})
const onExotelApi = { taskQueue: EXOTEL_API_QUEUE, startToCloseTimeout: '2m', heartbeatTimeout: '30s', retry } as const
/** Longer than outages last. What is given up fails the pass, and the next one begins where the last complete one ended. */
const { readListPage } = proxyActivities<Activities>({ ...onExotelApi, scheduleToCloseTimeout: '12h' })
/** One request serves 20 calls, so it overtakes the questions about single calls (1 is the highest priority, 3 the default). */
const { sweepLinks } = proxyActivities<Activities>({ ...onExotelApi, scheduleToCloseTimeout: '2m', priority: { priorityKey: 1 } })

/** One pass; begun by its schedule. A pass that may have a gap fails, and the next one begins where the last complete one ended. */
export async function ReconcileWorkflow(kind: 'regular' | 'nightly', progress?: ListProgress): Promise<PassEnd> {
  const start = progress ?? startOf(await startPass({ kind }))
  const end = await readList(start, readListPage, {
    source: 'reconcile',
    resume: (reached) => continueAsNew<typeof ReconcileWorkflow>(kind, reached),
  })
  await finishPass(end)
  return end
}

/** The calls that wait for a link, many with one request; begun by its schedule every few minutes. */
export async function LinkSweepWorkflow(): Promise<{ asked: number; found: number }> {
  const portions = await callsWithoutLink()
  let found = 0
  for (const callSids of portions) found += await sweepLinks(callSids).catch(ifNotCancelled)
  return { asked: portions.flat().length, found }
}

/** The next sweep asks again. */
function ifNotCancelled(error: unknown): number {
  if (isCancellation(error)) throw error
  return 0
}
