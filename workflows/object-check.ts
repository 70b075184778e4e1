// Compares the bucket with our rows in both directions. The schedule starts it for a sample of the rows, a person for all of them.
import { continueAsNew, proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import type { ObjectCheckRequest, ObjectCheckResult } from '../contracts/maintenance.ts'
import { RECORDINGS_QUEUE } from '../contracts/names.ts'

/**
 * A page waits while the store is unavailable, but not without limit: while a run is open, the schedule starts no other run
 * (overlap policy SKIP). Therefore the run fails after this time, and the next night's run takes place.
 */
const PAGE_TIMEOUT = '6h'

const { checkRows, checkObjects, recordObjectCheck } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  scheduleToCloseTimeout: PAGE_TIMEOUT,
  startToCloseTimeout: '1h',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
})

const PAGES_IN_A_RUN = 200
const NOTHING: ObjectCheckResult = { rows: 0, missing: 0, objects: 0, unknown: 0, adopted: 0, deleted: 0, foreign: 0, surplus: 0 }

/** @param request.full checks every stored row instead of a sample; all objects are listed in both cases */
export async function ObjectCheckWorkflow(request: ObjectCheckRequest): Promise<ObjectCheckResult> {
  let { rowsDone = false, after, found = NOTHING } = request
  for (let pages = 0; pages < PAGES_IN_A_RUN; pages += 1) {
    setCurrentDetails(JSON.stringify(found))
    if (!rowsDone) {
      const page = await checkRows({ sampled: !request.full, ...(after !== undefined && { after }) })
      found = { ...found, rows: found.rows + page.rows, missing: found.missing + page.missing }
      after = page.last
      rowsDone = page.last === undefined
      continue
    }
    const page = await checkObjects({ ...(after !== undefined && { after }) })
    found = {
      ...found,
      objects: found.objects + page.objects,
      unknown: found.unknown + page.unknown,
      adopted: found.adopted + page.adopted,
      deleted: found.deleted + page.deleted,
      foreign: (found.foreign ?? 0) + (page.foreign ?? 0),
      surplus: (found.surplus ?? 0) + (page.surplus ?? 0),
    }
    after = page.last
    if (page.last !== undefined) continue
    await recordObjectCheck({ ...found, full: request.full })
    return found
  }
  return continueAsNew<typeof ObjectCheckWorkflow>({ full: request.full, rowsDone, found, ...(after !== undefined && { after }) })
}
