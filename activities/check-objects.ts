// Compares the bucket with the rows in both directions: finds stored rows without their object, and objects without a row.
import type { CallSid } from '../contracts/call-sid.ts'
import { markObjectMissing, recordObjectCheck, sampleStoredRows, storedRowsAfter, type StoredRow } from '../calls/object-check.ts'
import { adopter, isKnownAsWrong, recordWrongObject, unknownKeys } from '../calls/object-owners.ts'
import { concludeRecording } from '../calls/conclude-recording.ts'
import { counter } from '../platform/metrics.ts'
import type { ListedObject } from '../recordings/bucket-objects.ts'
import { readObjectKey } from '../recordings/object-key.ts'
import { classifyStoreError, ListBroken } from '../recordings/store-errors.ts'
import type { ObjectCheckResult, ObjectsPage, ObjectsRequest, RowsPage, RowsRequest } from '../contracts/maintenance.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { deleteErasedObject } from './erased-objects.ts'
import { reportGivenUp } from './given-up.ts'
import { MISCONFIGURED_ALARM, storeMisconfigured, storeUnavailable } from './store-failure.ts'

type Needs = Pick<Dependencies, 'database' | 'bucketObjects' | 'store' | 'recovery' | 'alarms' | 'logger' | 'waitScale'>

const ROWS_A_PAGE = 200
/** The row of a younger object may not be written yet. */
const YOUNG_MS = 3600_000
/** If so many objects are missing at once, the cause is probably not the single objects. No row is changed until a person has checked. */
const TOO_MANY_MISSING = 20
const FEW_MISSING = 3
const MANY_ALARM = 'ObjectsMissing'
/** The bucket still contains audio of erased calls. */
const ERASED_ALARM = 'ErasedObjectsKept'

/** What was done with an object without a row. */
type Settlement = 'unknown' | 'adopted' | 'deleted' | 'surplus'

const checked = counter('objects_checked_total', 'Rows and objects that the object check compared, by result', ['result'])

export function createCheckObjects(deps: Needs) {
  const { database, bucketObjects, alarms, logger, waitScale } = deps
  return {
    /** Checks the objects of a page of stored rows. If an object is missing or has another size, recovery downloads the recording again. */
    checkRows: ({ after, sampled }: RowsRequest): Promise<RowsPage> =>
      inStore(async () => {
        const { idempotencyKey, signal, reportProgress } = currentAttempt()
        await bucketObjects.assertBucket(signal)
        const query = { bucket: bucketObjects.bucket, limit: ROWS_A_PAGE }
        const rows = await (sampled ? sampleStoredRows(database, query) : storedRowsAfter(database, after ?? '0', query))
        const missing: [StoredRow, string][] = []
        for (const [index, row] of rows.entries()) {
          reportProgress(index)
          const bytes = await bucketObjects.bytesOf(row.key, signal)
          if (bytes !== row.bytes)
            missing.push([row, bytes === undefined ? 'The object is missing' : `The object has ${bytes} bytes instead of ${row.bytes}`])
        }
        checked.inc({ result: 'present' }, rows.length - missing.length)
        checked.inc({ result: 'missing' }, missing.length)
        const trusted = missing.length < TOO_MANY_MISSING && missing.length <= Math.max(FEW_MISSING, rows.length / 10)
        if (!trusted)
          alarms.raise(
            MANY_ALARM,
            `${missing.length} of ${rows.length} checked objects are missing in the bucket ${bucketObjects.bucket}; no row was changed`,
          )
        else if (after === undefined) alarms.clear(MANY_ALARM) // the first page of another check
        for (const [row, error] of trusted ? missing : []) {
          const { givenUp } = await markObjectMissing(database, row, { error, attempt: `${idempotencyKey}/${row.id}` })
          if (givenUp) reportGivenUp(logger, { callSid: row.callSid, code: 'ObjectMissing' })
          else logger.error({ callSid: row.callSid, key: row.key }, 'Recording object missing: recovery downloads the recording again')
        }
        const last = rows.length < ROWS_A_PAGE || sampled ? undefined : rows.at(-1)!.id
        return { rows: rows.length, missing: missing.length, believed: trusted, ...(last !== undefined && { last }) }
      }),

    /**
     * Checks the rows of a page of objects. An object without a row is adopted if its call is known, deleted if its call was erased,
     * and kept as surplus if its call has a stored recording under another key. All others are reported.
     */
    checkObjects: ({ after }: ObjectsRequest): Promise<ObjectsPage> =>
      inStore(async () => {
        const { signal } = currentAttempt()
        if (after === undefined) alarms.clear(ERASED_ALARM) // the first page of another check
        const { objects: listed, last } = await bucketObjects.list(after, signal)
        const ours = listed.filter(({ key }) => readObjectKey(key))
        const old = new Map(ours.filter(({ since }) => Date.now() - since.getTime() > YOUNG_MS * waitScale).map((each) => [each.key, each]))
        const foreign = listed.length - ours.length
        checked.inc({ result: 'foreign' }, foreign)
        const page = { objects: listed.length, unknown: 0, adopted: 0, deleted: 0, foreign, surplus: 0 }
        for (const key of await unknownKeys(database, [...old.keys()])) {
          const found = await settle(old.get(key)!).catch((error: unknown) => {
            signal.throwIfAborted()
            logger.warn(
              { error, key },
              'Recording object without a row cannot be adopted or deleted: the next object check checks it again',
            )
            return 'unknown' as const
          })
          checked.inc({ result: found })
          page[found] += 1
          logger[found === 'unknown' ? 'warn' : 'info']({ key }, `Recording object without a row: ${found}`)
        }
        return { ...page, ...(last !== undefined && { last }) }
      }),

    /** Records the result of the check in a row, for operators. */
    recordObjectCheck: (result: ObjectCheckResult & { full: boolean }): Promise<void> =>
      recordObjectCheck(database, currentAttempt().idempotencyKey, result),
  }

  async function settle({ key, bytes, since }: ListedObject): Promise<Settlement> {
    const { signal, reportProgress, idempotencyKey } = currentAttempt()
    const parts = readObjectKey(key)!
    const { callSid } = parts
    const call = await adopter(database, callSid)
    if (!call) return 'unknown'
    if (call.state === 'erased') return deleteErased(callSid, key)
    // If the call has several recordings, it is unknown which of them this object is.
    if (call.recordings > 1 || parts.prefix !== 'recordings') return 'unknown'
    // The object is kept whatever it contains, so it is not read. If the stored object is lost, a later check reads this one.
    if (call.stored > 0) return 'surplus'
    if (await isKnownAsWrong(database, { callSid, key, since })) return 'unknown'
    const { sha256, contentType } = await bucketObjects.read(key, signal, reportProgress)
    if (!sha256.startsWith(parts.hashPrefix)) {
      await recordWrongObject(database, { callSid, key, since })
      return 'unknown'
    }
    const audio = { contentType, extension: parts.extension }
    const object = { bucket: bucketObjects.bucket, key, url: deps.store.urlOf(key), bytes, sha256, audio }
    const outcome = { state: 'stored' as const, remark: 'Found in the bucket', ...object }
    const conclusion = { callSid, sourceUrl: call.sourceUrl ?? `object:${key}`, outcome }
    const { erased } = await concludeRecording(database, conclusion, { attempt: `${idempotencyKey}/${key}`, plan: deps.recovery.plan })
    return erased ? deleteErased(callSid, key) : 'adopted'
  }

  async function deleteErased(callSid: CallSid, key: string): Promise<'deleted'> {
    await deleteErasedObject(deps, { callSid, key }, currentAttempt().signal).catch((error: unknown) => {
      alarms.raise(ERASED_ALARM, classifyStoreError(error).reason)
      throw error
    })
    return 'deleted'
  }

  /** An error of the whole store says nothing about a single object. The task is retried until its schedule-to-close timeout. */
  async function inStore<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work()
      alarms.clear(MISCONFIGURED_ALARM)
      return result
    } catch (error) {
      if (!(error instanceof ListBroken || (error instanceof Error && '$metadata' in error))) throw error
      const { of, reason } = classifyStoreError(error)
      throw of === 'setup' || of === 'refusal' ? storeMisconfigured(alarms, reason) : storeUnavailable(reason)
    }
  }
}
