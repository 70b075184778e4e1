// The bucket against our rows, both ways: stored rows whose object is gone, and objects that no row knows.
import { adopter, markObjectMissing, recordObjectCheck, storedRows, unknownKeys, type StoredRow } from '../calls/object-check.ts'
import { concludeRecording } from '../calls/conclude-recording.ts'
import { counter } from '../platform/metrics.ts'
import type { ListedObject } from '../recordings/inventory.ts'
import { readObjectKey } from '../recordings/object-key.ts'
import { classifyStoreError } from '../recordings/store-errors.ts'
import type { ObjectCheckResult, ObjectsPage, ObjectsRequest, RowsPage, RowsRequest } from '../workflows/contracts/maintenance.ts'
import type { Dependencies } from './dependencies.ts'
import { giveBack } from './failures.ts'
import { noteGivenUp } from './given-up.ts'
import { runEffect, type Run } from './run.ts'

type Needs = Pick<Dependencies, 'database' | 'inventory' | 'store' | 'recovery' | 'alarms' | 'logger' | 'pauses' | 'waitScale'>

const ROWS_A_PAGE = 200
const OBJECTS_A_PAGE = 1000
/** A younger one may be on its way to its row. */
const YOUNG_MS = 3600_000
/** So many at once are no accident of single objects: somebody has to look before anything is believed. */
const TOO_MANY_MISSING = 20
const FEW_MISSING = 3
const MANY_ALARM = 'ObjectsMissing'

const checked = counter('objects_checked_total', 'Rows and objects compared, by what was found', ['found'])

export function createCheckObjects(deps: Needs) {
  const { database, inventory, alarms, logger, pauses, waitScale } = deps
  return {
    /** Looks for the objects of a page of stored rows. One that is gone, or of another size, is fetched again by recovery. */
    checkRows: ({ after, sampled }: RowsRequest): Promise<RowsPage> =>
      inStore(async ({ name, signal, progress }) => {
        await inventory.assertBucket(signal)
        const rows = await storedRows(database, { bucket: inventory.bucket, afterId: after ?? '0', limit: ROWS_A_PAGE, sampled })
        const missing: [StoredRow, string][] = []
        for (const [index, row] of rows.entries()) {
          progress(index)
          const bytes = await inventory.bytesOf(row.key, signal)
          if (bytes !== row.bytes)
            missing.push([row, bytes === undefined ? 'The object is gone' : `The object has ${bytes} bytes, not ${row.bytes}`])
        }
        checked.inc({ found: 'there' }, rows.length - missing.length)
        checked.inc({ found: 'missing' }, missing.length)
        const believed = missing.length < TOO_MANY_MISSING && missing.length <= Math.max(FEW_MISSING, rows.length / 10)
        if (!believed)
          alarms.raise(MANY_ALARM, `${missing.length} of ${rows.length} objects are not in ${inventory.bucket}: nothing was changed`)
        else if (after === undefined) alarms.clear(MANY_ALARM) // the first page of another check
        for (const [row, error] of believed ? missing : []) {
          const { givenUp } = await markObjectMissing(database, row, { error, attempt: `${name}/${row.id}` })
          if (givenUp) noteGivenUp(logger, { callSid: row.callSid, code: 'ObjectMissing' })
          else logger.error({ callSid: row.callSid, key: row.key }, 'Recording object missing: it is fetched again')
        }
        const last = rows.length < ROWS_A_PAGE || sampled ? undefined : rows.at(-1)!.id
        return { rows: rows.length, missing: missing.length, believed, ...(last !== undefined && { last }) }
      }),

    /** Looks for the rows of a page of objects. What belongs to a known call is adopted, what to an erased one deleted, the rest told. */
    checkObjects: ({ after }: ObjectsRequest): Promise<ObjectsPage> =>
      inStore(async (run) => {
        const listed = await inventory.list(after, run.signal)
        const ours = listed.filter(({ key }) => readObjectKey(key))
        const old = new Map(ours.filter(({ since }) => Date.now() - since.getTime() > YOUNG_MS * waitScale).map((each) => [each.key, each]))
        const foreign = listed.length - ours.length
        checked.inc({ found: 'foreign' }, foreign)
        const page = { objects: listed.length, unknown: 0, adopted: 0, deleted: 0, foreign }
        for (const key of await unknownKeys(database, [...old.keys()])) {
          const fate = await settle(old.get(key)!, run).catch((error: unknown) => {
            run.signal.throwIfAborted()
            logger.warn({ error, key }, 'Recording object without a row cannot be settled')
            return 'unknown' as const
          })
          checked.inc({ found: fate })
          page[fate] += 1
          logger[fate === 'unknown' ? 'warn' : 'info']({ key }, `Recording object without a row: ${fate}`)
        }
        const last = listed.length < OBJECTS_A_PAGE ? undefined : listed.at(-1)!.key
        return { ...page, ...(last !== undefined && { last }) }
      }),

    /** The check's row, for operators. */
    endObjectCheck: (result: ObjectCheckResult & { full: boolean }): Promise<void> =>
      runEffect(deps, ({ name }) => recordObjectCheck(database, name, result)),
  }

  async function settle({ key, bytes }: ListedObject, { signal, progress, name }: Run): Promise<'unknown' | 'adopted' | 'deleted'> {
    const parts = readObjectKey(key)!
    const call = await adopter(database, parts.callSid)
    if (!call) return 'unknown'
    if (call.state === 'erased') {
      await inventory.delete(key, signal)
      return 'deleted'
    }
    // Of several recordings nobody knows which one this is.
    if (call.recordings > 1 || parts.room !== 'recordings') return 'unknown'
    const { sha256, contentType } = await inventory.read(key, signal, progress)
    if (!sha256.startsWith(parts.hashBegins)) return 'unknown'
    const audio = { contentType, extension: parts.extension }
    const object = { bucket: inventory.bucket, key, url: deps.store.urlOf(key), bytes, sha256, audio }
    const outcome = { state: 'stored' as const, remark: 'Found in the bucket', ...object }
    const conclusion = { callSid: parts.callSid, sourceUrl: call.sourceUrl ?? `object:${key}`, outcome }
    await concludeRecording(database, conclusion, { attempt: `${name}/${key}`, plan: deps.recovery.plan })
    return 'adopted'
  }

  /** Trouble with the store as a whole says nothing about any object: the task waits. */
  function inStore<T>(effect: (run: Run) => Promise<T>): Promise<T> {
    return runEffect(deps, (run) =>
      effect(run).catch((error: unknown) => {
        if (!(error instanceof Error && '$metadata' in error)) throw error
        throw giveBack('StorageUnavailable', classifyStoreError(error).reason, { attempt: run.attempt, pauses })
      }),
    )
  }
}
