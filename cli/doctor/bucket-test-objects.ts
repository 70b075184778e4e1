// Stores, reads and deletes test objects with the code that stores recordings. Their prefix is below `recordings/`, because the policy of
// a key may permit only the prefixes of recordings.
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { BucketInspection } from '../../recordings/bucket-inspection.ts'
import type { BucketObjects } from '../../recordings/bucket-objects.ts'
import { digestFile, type UploadSizes } from '../../recordings/digests.ts'
import type { ObjectToStore, TransferControl } from '../../recordings/object-to-store.ts'
import type { RecordingStore } from '../../recordings/store.ts'
import { classifyStoreError, isReadRefused } from '../../recordings/store-errors.ts'
import { fault, ok, skipped, warning, type Runner, type Verdict } from './check.ts'
import { TIME_LIMIT_MS } from './run-checks.ts'

export interface Bucket {
  inspection: BucketInspection
  objects: BucketObjects
  store: RecordingStore
  /** Uploads every object in parts. */
  partsStore: RecordingStore
}

const TEST_PREFIX = 'recordings/.doctor/'
export const PARTS_ONLY: UploadSizes = { singlePutMaxBytes: 0, partBytes: 5 * 1024 ** 2 }
/** What the test objects contain: this file. The application uploads files, and the file system of an image may be read-only. */
const CONTENT = fileURLToPath(import.meta.url)

/** Leaves no object, also if the command is interrupted. */
export async function checkTestObjects(bucket: Bucket, keepsVersions: boolean, { check, finish }: Runner): Promise<void> {
  const { store, partsStore, objects } = bucket
  const key = TEST_PREFIX + randomUUID()
  const [single, inParts] = [await testObject(key, store.sizes), await testObject(`${key}-parts`, partsStore.sizes)]
  const sent: Promise<void>[] = []
  // An interruption does not abort an upload: the store might complete a request that was sent, after the object was deleted.
  const send = (to: RecordingStore, object: ObjectToStore): Promise<void> => {
    const upload = to.put(object, controlOf(AbortSignal.timeout(TIME_LIMIT_MS)), { key: object.key, state: 'absent' })
    sent.push(upload)
    return upload
  }
  try {
    const isStored = await check('bucket-put', async () => {
      await send(store, single)
      return ok('An object can be stored.')
    })
    if (isStored) {
      await check('bucket-head', async (signal) => {
        const { state } = await store.find(single, controlOf(signal))
        return state === 'same' ? ok('The stored object has the right size and checksum.') : fault(`The stored object is ${state}.`)
      })
      await check('bucket-get', async (signal) => {
        const { sha256 } = await objects.read(key, signal, () => {})
        return sha256 === single.sha256 ? ok('The stored object can be read.') : fault('The store returns other bytes than it got.')
      })
    }
    await check('bucket-multipart', async () => {
      await send(partsStore, inParts)
      return ok('An object can be uploaded in parts.')
    })
  } finally {
    await Promise.allSettled(sent)
    if (sent.length > 0) await finish('bucket-delete', (signal) => deleteObjects(bucket, [key, inParts.key], keepsVersions, signal))
  }
}

/** For a bucket in which new objects cannot be deleted: sends a part of an upload that is not completed. */
export async function checkUploadOnly({ store }: Bucket, { check }: Runner): Promise<void> {
  for (const name of ['bucket-put', 'bucket-head', 'bucket-get', 'bucket-delete'])
    await check(name, async () => skipped('Not checked, because object lock would keep the test object.'))
  await check('bucket-multipart', async (signal) => {
    await store.assertWritable(signal)
    return ok('A part of an object can be uploaded. No object was stored.')
  })
}

async function deleteObjects(
  { objects, inspection }: Bucket,
  keys: string[],
  keepsVersions: boolean,
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    for (const key of keys) await objects.delete(key, signal)
    for (const key of keys) {
      if (!(await isGone(objects, key, signal))) return fault(`The store still has the test object ${key}: delete it.`)
    }
  } catch (error) {
    const { reason } = classifyStoreError(error)
    return fault(
      `Objects cannot be deleted: ${reason}. Test objects may remain under ${TEST_PREFIX}. Give the key in WASABI_ACCESS_KEY the right to delete.`,
      'WASABI_ACCESS_KEY',
    )
  }
  try {
    if (keepsVersions) for (const key of keys) await inspection.deleteVersions(key, signal)
  } catch {
    return warning(`Objects can be deleted, but not their old versions. Those of the test objects remain under ${TEST_PREFIX}.`)
  }
  return ok('Objects can be deleted. No test object remains.')
}

/** Without the right to list, S3 refuses a HEAD of an object that does not exist. */
async function isGone(objects: BucketObjects, key: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await objects.bytesOf(key, signal)) === undefined
  } catch (error) {
    if (isReadRefused(error)) return true
    throw error
  }
}

async function testObject(key: string, sizes: UploadSizes): Promise<ObjectToStore> {
  const { parts, ...digests } = await digestFile(CONTENT, sizes, new AbortController().signal, () => {})
  return {
    ...digests,
    ...(parts && { parts }),
    key,
    path: CONTENT,
    contentType: 'text/plain',
    metadata: { purpose: 'test of npm run doctor' },
  }
}

/** An upload that does not succeed is aborted at the store. */
function controlOf(signal: AbortSignal): TransferControl {
  return { signal, onProgress: () => {}, isCancelled: () => true }
}
