// An account's older calls, up to the six months that Exotel serves; begun by a person, at a pace that leaves room for live calls.
import { continueAsNew, proxyActivities, setCurrentDetails, sleep } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { readList, startOf, type ListProgress } from './calls-list.ts'
import type { BackfillRequest, PassEnd } from '../contracts/maintenance.ts'
import { BACKFILL_QUEUE, RECORDINGS_QUEUE } from '../contracts/names.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const
const { startPass, finishPass, backfillBacklog } = proxyActivities<Activities>({
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
/** A run's history takes this many looks at the backlog. */
const LOOKS_IN_A_RUN = 500

export async function BackfillWorkflow(request: BackfillRequest, progress?: ListProgress): Promise<PassEnd> {
  let looks = 0
  const start = progress ?? startOf(await startPass({ kind: 'backfill', from: request.from, to: request.to }))
  const end = await readList(start, readListPage, {
    source: 'backfill',
    beforePage: async (reached) => {
      for (let open = await backfillBacklog(); open >= request.openAtMost; open = await backfillBacklog()) {
        setCurrentDetails(`${open} calls of the backfill are under way; the next page is read when fewer than ${request.openAtMost} are`)
        if ((looks += 1) > LOOKS_IN_A_RUN) await resumeRelay(reached)
        await sleep(PAUSE_MS * request.waitScale, { summary: 'until calls of the backfill have ended' })
      }
    },
    resume: resumeRelay,
  })
  await finishPass(end)
  return end

  function resumeRelay(reached: ListProgress): Promise<never> {
    return continueAsNew<typeof BackfillWorkflow>(request, reached)
  }
}
