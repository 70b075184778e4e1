// An account's older calls, up to the six months that Exotel serves; begun by a person, at a pace that leaves room for live calls.
import { continueAsNew, proxyActivities, setCurrentDetails, sleep } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { readList, startOf, type ListProgress } from './calls-list.ts'
import type { BackfillRequest, ListPage, ListRequest, PassEnd } from './contracts/maintenance.ts'
import { BACKFILL_QUEUE, RECORDINGS_QUEUE } from './contracts/names.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const
const { beginPass, endPass, backfillBacklog } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '30s',
  retry,
})
const { readListPage } = proxyActivities<Activities>({
  taskQueue: BACKFILL_QUEUE,
  startToCloseTimeout: '2m',
  heartbeatTimeout: '30s',
  retry,
})

const PAUSE_MS = 30_000

export async function BackfillWorkflow(request: BackfillRequest, progress?: ListProgress): Promise<PassEnd> {
  const start = progress ?? startOf(await beginPass({ kind: 'backfill', from: request.from, to: request.to }))
  const end = await readList(start, (page) => readWhenThereIsRoom(request, page), {
    source: 'backfill',
    resume: (reached) => continueAsNew<typeof BackfillWorkflow>(request, reached),
  })
  await endPass(end)
  return end
}

async function readWhenThereIsRoom({ openAtMost, waitScale }: BackfillRequest, page: ListRequest): Promise<ListPage> {
  for (let open = await backfillBacklog(); open >= openAtMost; open = await backfillBacklog()) {
    setCurrentDetails(`${open} calls of the backfill are under way; the next page is read when fewer than ${openAtMost} are`)
    await sleep(PAUSE_MS * waitScale)
  }
  return readListPage(page)
}
