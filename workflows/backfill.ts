// Records an account's older calls, up to the six months that Exotel serves. A person starts it. It is slow enough not to delay live calls.
import { continueAsNew, proxyActivities, setCurrentDetails, sleep } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { readList, startOf, type ListProgress } from './calls-list.ts'
import type { BackfillRequest, PassEnd } from '../contracts/maintenance.ts'
import { BACKFILL_QUEUE, RECORDINGS_QUEUE } from '../contracts/names.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const
const { startReconcilePass, finishReconcilePass, countBackfillBacklog } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '30s',
  retry,
})
const { readListPage } = proxyActivities<Activities>({
  taskQueue: BACKFILL_QUEUE,
  startToCloseTimeout: '2m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '7d',
  retry,
})

const PAUSE_MS = 30_000
/** After this many checks of the backlog the run continues as new, so that its history stays short. */
const CHECKS_PER_RUN = 500

export async function BackfillWorkflow(request: BackfillRequest, progress?: ListProgress): Promise<PassEnd> {
  let checks = 0
  const start = progress ?? startOf(await startReconcilePass({ kind: 'backfill', from: request.from, to: request.to }))
  const end = await readList(start, readListPage, {
    source: 'backfill',
    beforePage: async (reached) => {
      for (let open = await countBackfillBacklog(); open >= request.openAtMost; open = await countBackfillBacklog()) {
        setCurrentDetails(`${open} calls of the backfill are in progress. The next page is read when fewer than ${request.openAtMost} are.`)
        if ((checks += 1) > CHECKS_PER_RUN) await continueInNextRun(reached)
        await sleep(PAUSE_MS * request.waitScale, { summary: 'until fewer calls of the backfill are in progress' })
      }
    },
    resume: continueInNextRun,
  })
  await finishReconcilePass(end)
  return end

  function continueInNextRun(reached: ListProgress): Promise<never> {
    return continueAsNew<typeof BackfillWorkflow>(request, reached)
  }
}
