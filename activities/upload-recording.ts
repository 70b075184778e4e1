import { ApplicationFailure } from '@temporalio/common'
import { fixRecordingDate, isCallErased } from '../calls/recording-facts.ts'
import { digestFile, type UploadSizes } from '../recordings/digests.ts'
import { objectKey } from '../recordings/object-key.ts'
import { classifyStoreError } from '../recordings/store-errors.ts'
import type { ObjectToStore, TransferControl } from '../recordings/object-to-store.ts'
import type { Found, RecordingStore } from '../recordings/store.ts'
import { SPOOL_FILE_LOST } from '../contracts/failures.ts'
import type { Spooled, StoredObject, UploadInput } from '../contracts/recording.ts'
import { currentAttempt, isCancelledByWorkflow } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { diskFailureCode } from './disk-failures.ts'
import { failAttempt, RetryLater } from './failures.ts'
import { createLastingAlarm, type LastingAlarm } from './lasting-alarm.ts'

type Needs = Pick<Dependencies, 'database' | 'spool' | 'store' | 'breaker' | 'alarms' | 'logger' | 'waitScale'>

/** An upload ends after this and a second per MB; without progress the socket ends it after a minute. */
const BASE_DEADLINE_MS = 60_000
const MS_PER_MB = 1000
/** The success of another upload does not end an alarm about one object, so it ends by itself. */
const OBJECT_ALARM_MS = 24 * 3600_000
/** Once or twice, a fault of one object may be chance. */
const REFUSED_FROM_ATTEMPT = 3
/** Raised by whoever needs the bucket; cleared by whatever succeeds there next. */
export const SETUP_ALARM = 'StorageMisconfigured'

/**
 * Step 3: the spooled file is in the bucket, confirmed, and no longer on this disk. Looks at its key first, so that a
 * repeated call costs one HEAD and works without a file.
 * @throws SpoolFileLost where the bucket lacks the object and the file is gone or changed; Cancelled where the call is erased
 */
export function createUploadRecording(deps: Needs) {
  const foreignAlarm = createLastingAlarm(deps.alarms, {
    name: 'ForeignObject',
    quietMs: OBJECT_ALARM_MS * deps.waitScale,
    reason: (keys) => `Somebody else wrote objects under keys of ours: ${keys.join(', ')}. The recordings are stored under other keys`,
  })
  const refusedAlarm = createLastingAlarm(deps.alarms, {
    name: 'UploadRefused',
    quietMs: OBJECT_ALARM_MS * deps.waitScale,
    reason: (keys) => `The store takes other objects and refuses these again and again: ${keys.join(', ')}. The log has its errors`,
  })
  return async (input: UploadInput): Promise<StoredObject> => {
    const { callSid, spooled, verdict } = input
    if (await isCallErased(deps.database, callSid)) throw failAttempt('Cancelled', 'The call was erased')
    const { key, foreign } = await put(deps, refusedAlarm, {
      key: objectKey(input, await fixRecordingDate(deps.database, callSid)),
      path: deps.spool.path(spooled.file),
      bytes: spooled.bytes,
      sha256: spooled.sha256,
      etag: verdict.etag,
      contentType: verdict.audio.contentType,
      metadata: { callsid: callSid, sha256: spooled.sha256 },
    })
    deps.alarms.clear(SETUP_ALARM)
    await removeSpooled(deps, spooled)
    if (foreign !== undefined) foreignAlarm.raise(foreign)
    const remark = foreign !== undefined && { remark: `A foreign object has the key ${foreign}` }
    return { bucket: deps.store.bucket, key, url: deps.store.urlOf(key), ...remark }
  }
}

/** Best effort: the object is confirmed, and the sweep of the spool removes what stays. */
async function removeSpooled({ spool, logger }: Needs, { file, sha256 }: Spooled): Promise<void> {
  await spool
    .removeWhole(file, sha256, currentAttempt())
    .catch((error: unknown) => logger.warn({ error, file }, 'Recording is stored, but its spool file cannot be removed'))
}

async function put({ store, breaker, alarms }: Needs, refusedAlarm: LastingAlarm, object: ObjectToStore): Promise<Found> {
  const { signal, number, reportProgress } = currentAttempt()
  const deadline = AbortSignal.timeout(Math.ceil(BASE_DEADLINE_MS + (object.bytes / 1024 ** 2) * MS_PER_MB))
  const control = {
    signal: AbortSignal.any([signal, deadline]),
    onProgress: reportProgress,
    isCancelled: () => isCancelledByWorkflow(signal),
  }
  const isOurs = (error: unknown): boolean => signal.aborted || error instanceof ApplicationFailure || diskFailureCode(error) !== undefined
  try {
    const stored = await breaker.run(
      async () => {
        const found = await store.find(object, control)
        if (found.state !== 'same') await putSpooled(store, { ...object, key: found.key }, control, found)
        return found
      },
      (error) => (isOurs(error) ? 'nothing' : classifyStoreError(error).of === 'service' ? 'away' : 'serves'),
    )
    refusedAlarm.end(object.key)
    return stored
  } catch (error) {
    if (isOurs(error)) throw error
    const { of, reason } = classifyStoreError(error)
    const setupIsWrong = of === 'setup' || (of === 'refusal' && !(await store.servesOthers(control.signal)))
    if (setupIsWrong) alarms.raise(SETUP_ALARM, reason)
    else if (of !== 'service' && number >= REFUSED_FROM_ATTEMPT) refusedAlarm.raise(object.key)
    throw new RetryLater(setupIsWrong ? 'StorageMisconfigured' : 'StorageUnavailable', reason)
  }
}

/**
 * Another attempt may have stored the object meanwhile: it has removed the file then, or completed the upload that both
 * sent parts to. So after any failure the bucket is asked once more.
 */
async function putSpooled(store: RecordingStore, object: ObjectToStore, control: TransferControl, replaces: Found): Promise<void> {
  const isStored = (): Promise<boolean> =>
    store.find(object, control).then(
      ({ key, state }) => key === object.key && state === 'same',
      () => false,
    )
  try {
    await assertSpooled(object, store.sizes)
    await store.put(object, control, replaces)
  } catch (error) {
    if (!currentAttempt().signal.aborted && (await isStored())) {
      await store.endUploads(object.key, control.signal).catch(() => {}) // best effort: the sweep of old uploads does the rest
      return
    }
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? fileLost() : error
  }
}

/** Between validation and upload a file may lie for days: nothing is sent that is not what was validated. */
async function assertSpooled({ path, bytes, sha256 }: ObjectToStore, sizes: UploadSizes): Promise<void> {
  const { signal, reportProgress } = currentAttempt()
  const digests = await digestFile(path, sizes, signal, reportProgress)
  if (digests.bytes !== bytes || digests.sha256 !== sha256) throw fileLost()
}

function fileLost(): ApplicationFailure {
  return failAttempt(SPOOL_FILE_LOST, 'The spooled file is gone or has changed')
}
