import { S3ServiceException } from '@aws-sdk/client-s3'
import { BucketInspection } from '../../recordings/bucket-inspection.ts'
import { BucketObjects } from '../../recordings/bucket-objects.ts'
import { storeSettings } from '../../recordings/s3-client.ts'
import { RecordingStore } from '../../recordings/store.ts'
import { classifyStoreError } from '../../recordings/store-errors.ts'
import { checkTestObjects, checkUploadOnly, PARTS_ONLY, type Bucket } from './bucket-test-objects.ts'
import { fault, ok, warning, type CheckGroup, type Runner, type Verdict } from './check.ts'

type BucketSetting = 'WASABI_ENDPOINT' | 'WASABI_REGION' | 'WASABI_BUCKET' | 'WASABI_ACCESS_KEY' | 'WASABI_SECRET_KEY'
type BucketSettings = Record<BucketSetting, string>

/** Stores refuse requests whose time differs by 15 min. The API refuses webhooks whose time differs by 5 min. */
const CLOCK_ERROR_MS = 5 * 60_000
const CLOCK_WARNING_MS = 60_000

/** The bucket as the worker uses it, with test objects that are deleted again. */
export const bucketChecks: CheckGroup<BucketSetting> = {
  names: [
    'bucket',
    'bucket-clock',
    'bucket-versioning',
    'bucket-object-lock',
    'bucket-put',
    'bucket-head',
    'bucket-get',
    'bucket-multipart',
    'bucket-delete',
  ],
  needs: ['WASABI_ENDPOINT', 'WASABI_REGION', 'WASABI_BUCKET', 'WASABI_ACCESS_KEY', 'WASABI_SECRET_KEY'],
  async run(settings, runner) {
    const access = { ...storeSettings(settings), connections: 2 }
    const bucket = {
      inspection: new BucketInspection(access),
      objects: new BucketObjects(access),
      store: new RecordingStore(access),
      partsStore: new RecordingStore(access, PARTS_ONLY),
    }
    try {
      await checkBucket(bucket, settings, runner)
    } finally {
      for (const each of Object.values(bucket)) each.close()
    }
  },
  explain: explainStore,
}

async function checkBucket(bucket: Bucket, { WASABI_BUCKET: name }: BucketSettings, runner: Runner): Promise<void> {
  const { check } = runner
  // A list, because the response to HEAD would not name an error. The object check needs the right to list, too.
  let isForbidden = false
  const isReadable = await check('bucket', async (signal) => {
    await bucket.objects.list(undefined, signal).catch((error: unknown) => {
      isForbidden = classifyStoreError(error).of === 'refusal'
      throw error
    })
    return ok(`The bucket ${name} exists, and its objects can be listed.`)
  })
  await check('bucket-clock', async (signal) => judgeClock(await bucket.inspection.clockAheadMs(signal)))
  if (!isReadable && !isForbidden) return
  let keepsVersions = false
  await check('bucket-versioning', (signal) =>
    unlessForbidden('s3:GetBucketVersioning', async () => {
      const status = await bucket.inspection.versioning(signal)
      keepsVersions = status !== undefined
      if (!keepsVersions) return ok('Versioning is off.')
      return warning(
        `Versioning is ${status}: recordings of erased calls remain as old versions. Add a lifecycle rule that deletes noncurrent versions.`,
      )
    }),
  )
  let isLocked = false
  await check('bucket-object-lock', (signal) =>
    unlessForbidden('s3:GetBucketObjectLockConfiguration', async () => {
      const retention = await bucket.inspection.defaultRetention(signal)
      isLocked = retention !== undefined
      if (!retention) return ok('New objects are not locked.')
      const { Mode, Days, Years } = retention
      return warning(
        `Object lock (${Mode}) keeps each new object for ${Days === undefined ? `${Years} years` : `${Days} days`}: recordings of erased calls cannot be deleted before.`,
      )
    }),
  )
  await (isLocked ? checkUploadOnly(bucket, runner) : checkTestObjects(bucket, keepsVersions, runner))
}

function judgeClock(aheadMs: number | undefined): Verdict {
  if (aheadMs === undefined) return warning('The store does not say what time it is.')
  const differenceMs = Math.abs(aheadMs)
  const text = `The clock of this machine is ${Math.round(differenceMs / 1000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the clock of the store`
  if (differenceMs < CLOCK_WARNING_MS) return ok('The clocks of this machine and of the store agree.')
  if (differenceMs < CLOCK_ERROR_MS) return warning(`${text}: check the time synchronization.`)
  return fault(`${text}, which refuses requests from 15 min on; webhooks are refused from 5 min on. Correct the time synchronization.`)
}

/** The application does not need these rights, so their absence is no error. */
async function unlessForbidden(right: string, work: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await work()
  } catch (error) {
    if (classifyStoreError(error).of !== 'refusal') throw error
    return warning(`Unknown, because the key lacks the right ${right}.`)
  }
}

function explainStore(error: unknown, settings: BucketSettings): Verdict {
  const { of, reason } = classifyStoreError(error)
  const name = error instanceof S3ServiceException ? error.name : ''
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined
  const refused = `The store refuses the request: ${reason}`
  if (name === 'NoSuchBucket' || name === 'InvalidBucketName')
    return fault(
      `${refused}. There is no bucket ${settings.WASABI_BUCKET} at ${settings.WASABI_ENDPOINT}: correct WASABI_BUCKET.`,
      'WASABI_BUCKET',
    )
  // Some stores have a name of their own for an unknown key.
  if (name === 'InvalidAccessKeyId' || name === 'XAdminUserNotFound')
    return fault(`${refused}. The store does not know the key: correct WASABI_ACCESS_KEY.`, 'WASABI_ACCESS_KEY')
  if (name === 'SignatureDoesNotMatch')
    return fault(`${refused}. The secret does not belong to the key: correct WASABI_SECRET_KEY.`, 'WASABI_SECRET_KEY')
  if (name === 'PermanentRedirect' || name === 'AuthorizationHeaderMalformed' || status === 301)
    return fault(
      `${refused}. The bucket or the endpoint is in another region than ${settings.WASABI_REGION}: correct WASABI_REGION and WASABI_ENDPOINT.`,
      'WASABI_REGION',
    )
  if (of === 'refusal')
    return fault(
      `${refused}. The key lacks this right in the bucket: correct the policy of the key in WASABI_ACCESS_KEY.`,
      'WASABI_ACCESS_KEY',
    )
  if (of === 'setup' || of === 'object') return fault(`${refused}.`)
  return fault(`The store does not respond as it should: ${reason}. Check WASABI_ENDPOINT, and the status of the store.`, 'WASABI_ENDPOINT')
}
