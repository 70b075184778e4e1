// Reads properties of the bucket that the application does not set, but that decide what its requests do.
import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  HeadBucketCommand,
  ListObjectVersionsCommand,
  S3ServiceException,
  type BucketVersioningStatus,
  type DefaultRetention,
  type S3Client,
} from '@aws-sdk/client-s3'
import { createS3Client, type StoreSettings } from './s3-client.ts'
import { isNotImplemented } from './store-errors.ts'

/** The bucket was created without object lock. */
const NO_LOCK = 'ObjectLockConfigurationNotFoundError'

export class BucketInspection {
  readonly #settings: StoreSettings
  readonly #client: S3Client

  constructor(settings: StoreSettings) {
    this.#settings = settings
    this.#client = createS3Client(settings)
  }

  /**
   * By how much the clock of this machine is ahead of the store's. Its clock is in the header `Date` of every response, also of a
   * refusal, in whole seconds.
   * @returns undefined if the response has no such header
   * @throws if the store does not respond
   */
  async clockAheadMs(abortSignal: AbortSignal): Promise<number | undefined> {
    const client = createS3Client(this.#settings) // its own: the SDK signs further requests with the time of the store
    let date: string | undefined
    client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args)
        date = (result.response as { headers?: Record<string, string> }).headers?.date
        return result
      },
      { step: 'deserialize', priority: 'low', name: 'readDate' },
    )
    try {
      await client.send(new HeadBucketCommand({ Bucket: this.#settings.bucket }), { abortSignal })
    } catch (error) {
      if (!(error instanceof S3ServiceException)) throw error
    } finally {
      client.destroy()
    }
    const storeMs = date === undefined ? Number.NaN : Date.parse(date)
    return Number.isNaN(storeMs) ? undefined : Date.now() - storeMs
  }

  /**
   * Whether the store keeps deleted objects as old versions.
   * @returns undefined if versioning was never enabled @throws the SDK's error
   */
  async versioning(abortSignal: AbortSignal): Promise<BucketVersioningStatus | undefined> {
    try {
      return (await this.#client.send(new GetBucketVersioningCommand({ Bucket: this.#settings.bucket }), { abortSignal })).Status
    } catch (error) {
      if (isNotImplemented(error)) return undefined
      throw error
    }
  }

  /** The default retention of new objects (S3 Object Lock); undefined if the bucket has none. @throws the SDK's error */
  async defaultRetention(abortSignal: AbortSignal): Promise<DefaultRetention | undefined> {
    try {
      const command = new GetObjectLockConfigurationCommand({ Bucket: this.#settings.bucket })
      return (await this.#client.send(command, { abortSignal })).ObjectLockConfiguration?.Rule?.DefaultRetention
    } catch (error) {
      if (isNotImplemented(error) || (error instanceof S3ServiceException && error.name === NO_LOCK)) return undefined
      throw error
    }
  }

  /** Deletes all versions of an object, and the marks that it was deleted. @throws the SDK's error */
  async deleteVersions(key: string, abortSignal: AbortSignal): Promise<void> {
    const place = { Bucket: this.#settings.bucket }
    const { Versions = [], DeleteMarkers = [] } = await this.#client.send(new ListObjectVersionsCommand({ ...place, Prefix: key }), {
      abortSignal,
    })
    for (const { Key, VersionId } of [...Versions, ...DeleteMarkers]) {
      if (Key === key) await this.#client.send(new DeleteObjectCommand({ ...place, Key, VersionId }), { abortSignal })
    }
  }

  close(): void {
    this.#client.destroy()
  }
}
