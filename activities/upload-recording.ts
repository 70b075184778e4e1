import { ApplicationFailure } from '@temporalio/common'
import { fixRecordingDate } from '../calls/recording-facts.ts'
import { digestFile, type PartDigest } from '../recordings/digests.ts'
import { objectKey } from '../recordings/object-key.ts'
import { classifyStoreError, ObjectMismatch, ObjectUnreadable } from '../recordings/store-errors.ts'
import type { ObjectToStore, TransferControl } from '../recordings/object-to-store.ts'
import type { Spool } from '../recordings/spool.ts'
import type { KeyContent, RecordingStore } from '../recordings/store.ts'
import { SPOOL_FILE_LOST } from '../contracts/failures.ts'
import type { Spooled, StoredObject, UploadInput } from '../contracts/recording.ts'
import { currentAttempt, isCancelledByWorkflow } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { diskFailureCode } from './disk-failures.ts'
import { failAttempt } from './failures.ts'
import { MISCONFIGURED_ALARM, storeMisconfigured, storeUnavailable } from './store-failure.ts'
import { createExpiringAlarm, type ExpiringAlarm } from './expiring-alarm.ts'

type Needs = Pick<Dependencies, 'database' | 'spool' | 'store' | 'breaker' | 'alarms' | 'logger' | 'waitScale'>

/** The deadline of an upload is this plus a second per MB. If an upload makes no progress, its socket times out after a minute. */
const BASE_DEADLINE_MS = 60_000
const MS_PER_MB = 1000
/** The success of another upload does not clear an alarm about one object. So the object is removed from the alarm after this time. */
const OBJECT_ALARM_MS = 24 * 3600_000
/** The first attempts of an upload that fail raise no alarm and use no other key, because the cause may be temporary. */
const REFUSED_FROM_ATTEMPT = 3

/**
 * Step 3: uploads the spooled file to the bucket, confirms the object, and deletes the file. A repeated call finds the object and needs no
 * file.
 * @throws SpoolFileLost if the object is not in the bucket and the file is missing or changed; Cancelled if the call was erased
 */
export function createUploadRecording(deps: Needs) {
  const foreignAlarm = createExpiringAlarm(deps.alarms, {
    name: 'ForeignObject',
    quietMs: OBJECT_ALARM_MS * deps.waitScale,
    reason: (keys) =>
      `The bucket has foreign or unreadable objects under keys of recordings: ${keys.join(', ')}. The recordings are stored under other keys`,
  })
  const refusedAlarm = createExpiringAlarm(deps.alarms, {
    name: 'UploadRefused',
    quietMs: OBJECT_ALARM_MS * deps.waitScale,
    reason: (keys) => `The store accepts other objects and repeatedly refuses these: ${keys.join(', ')}. See the errors in the log`,
  })
  return async (input: UploadInput): Promise<StoredObject> => {
    const { callSid, spooled, verdict } = input
    const date = await fixRecordingDate(deps.database, callSid)
    if (date === undefined) throw failAttempt('Cancelled', 'The call was erased')
    const { key, foreign } = await put(deps, refusedAlarm, spooled, {
      key: objectKey(input, date),
      path: deps.spool.path(spooled.file),
      bytes: spooled.bytes,
      sha256: spooled.sha256,
      etag: verdict.etag,
      contentType: verdict.audio.contentType,
      metadata: { callsid: callSid, sha256: spooled.sha256 },
    })
    deps.alarms.clear(MISCONFIGURED_ALARM)
    await removeSpooled(deps, spooled)
    if (foreign !== undefined) foreignAlarm.raise(foreign)
    const remark = foreign !== undefined && { remark: `A foreign or unreadable object has the key ${foreign}` }
    return { bucket: deps.store.bucket, key, url: deps.store.urlOf(key), ...remark }
  }
}

/** Best effort: the object is confirmed. If the file cannot be deleted, garbage collection deletes it. */
async function removeSpooled({ spool, logger }: Needs, { file, sha256 }: Spooled): Promise<void> {
  await spool
    .removeStored(file, sha256, currentAttempt())
    .catch((error: unknown) =>
      logger.warn({ error, file }, 'Recording is stored, but its spool file cannot be deleted: garbage collection deletes it'),
    )
}

async function put(deps: Needs, refusedAlarm: ExpiringAlarm, spooled: Spooled, object: ObjectToStore): Promise<KeyContent> {
  const { store, breaker, alarms } = deps
  const { signal, number, reportProgress } = currentAttempt()
  const deadline = AbortSignal.timeout(Math.ceil(BASE_DEADLINE_MS + (object.bytes / 1024 ** 2) * MS_PER_MB))
  const control = {
    signal: AbortSignal.any([signal, deadline]),
    onProgress: reportProgress,
    isCancelled: () => isCancelledByWorkflow(signal),
  }
  const isNotFromStore = (error: unknown): boolean =>
    signal.aborted || error instanceof ApplicationFailure || diskFailureCode(error) !== undefined
  try {
    const stored = await breaker.run(
      async (): Promise<KeyContent> => {
        if (store.refusesOverwrites && (await putNew(deps, spooled, object, control))) return { key: object.key, state: 'same' }
        const found = await store.find(object, control).catch((error: unknown) => {
          if (!(error instanceof ObjectUnreadable) || number < REFUSED_FROM_ATTEMPT) throw error
          return store.findAlternative(object, control)
        })
        if (found.state !== 'same') await putSpooled(deps, spooled, { ...object, key: found.key }, control, found)
        return found
      },
      (error) => (isNotFromStore(error) ? 'unrelated' : classifyStoreError(error).of === 'service' ? 'unavailable' : 'available'),
    )
    refusedAlarm.clear(object.key)
    return stored
  } catch (error) {
    if (isNotFromStore(error)) throw error
    const { of, reason } = classifyStoreError(error)
    const isMisconfigured = of === 'setup' || (of === 'refusal' && !(await store.acceptsOtherObjects(control.signal)))
    if (isMisconfigured) throw storeMisconfigured(alarms, reason)
    if (of !== 'service' && number >= REFUSED_FROM_ATTEMPT) refusedAlarm.raise(object.key)
    throw storeUnavailable(reason)
  }
}

/**
 * Usually the key has no object, and one request stores the recording.
 * @returns false if there is no file, or if the key has an object that is not this recording: then the bucket must be read first
 */
async function putNew(deps: Needs, spooled: Spooled, object: ObjectToStore, control: TransferControl): Promise<boolean> {
  if ((await deps.spool.bytesOf(spooled.file)) !== object.bytes) return false
  try {
    await putSpooled(deps, spooled, object, control, { key: object.key, state: 'absent' })
    return true
  } catch (error) {
    if (error instanceof ObjectMismatch || error instanceof ObjectUnreadable) return false
    throw error
  }
}

/**
 * Another attempt may have stored the object in the meantime. Then it has deleted the file, or completed the multipart upload that both
 * attempts sent parts to. So after any failure this checks the bucket again.
 */
async function putSpooled(
  deps: Needs,
  spooled: Spooled,
  object: ObjectToStore,
  control: TransferControl,
  replaces: KeyContent,
): Promise<void> {
  const { store, spool } = deps
  const isStored = (): Promise<boolean> =>
    store.find(object, control).then(
      ({ key, state }) => key === object.key && state === 'same',
      () => false,
    )
  try {
    if ((await spool.bytesOf(spooled.file)) !== object.bytes) throw fileLost()
    await store.put({ ...object, parts: await partsOf(deps, spooled) }, control, replaces)
  } catch (error) {
    if (!currentAttempt().signal.aborted && (await isStored())) {
      await store.abortUploads(object.key, control.signal).catch(() => {}) // best effort: garbage collection aborts old uploads
      return
    }
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw fileLost()
    if (classifyStoreError(error).of === 'object') await assertUnchanged(store, spool, spooled)
    throw error
  }
}

/** @returns the digests of the parts of a large file. The download has computed them, unless its note is lost. */
async function partsOf({ store, spool }: Needs, { file, bytes, sha256 }: Spooled): Promise<PartDigest[]> {
  if (bytes <= store.sizes.singlePutMaxBytes) return []
  const { complete } = await spool.note(file)
  if (complete?.sha256 === sha256 && complete.parts) return complete.parts
  const { signal, reportProgress } = currentAttempt()
  const digests = await digestFile(spool.path(file), store.sizes, signal, reportProgress)
  if (digests.sha256 !== sha256) throw fileLost()
  return digests.parts!
}

/** The store refuses bytes that do not have the hash of the download. Then either the disk has changed them, or the store is at fault. */
async function assertUnchanged(store: RecordingStore, spool: Spool, { file, bytes, sha256 }: Spooled): Promise<void> {
  const attempt = currentAttempt()
  const digests = await digestFile(spool.path(file), store.sizes, attempt.signal, attempt.reportProgress)
  if (digests.bytes === bytes && digests.sha256 === sha256) return
  await spool.markIncomplete(file, sha256, attempt, 'The bytes changed on the disk')
  throw fileLost()
}

function fileLost(): ApplicationFailure {
  return failAttempt(SPOOL_FILE_LOST, 'The spooled file is missing or was changed')
}
