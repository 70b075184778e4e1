// Lists, reads and deletes the objects in the bucket, independently of uploads.
import {
  DeleteObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  NoSuchBucket,
  NotFound,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3'
import { hashObject, headObject, readObject } from './object-reads.ts'
import { createS3Client, type StoreSettings } from './s3-client.ts'
import { ListBroken } from './store-errors.ts'

export interface ListedObject {
  key: string
  bytes: number
  /** When the object was last stored. */
  since: Date
}

export class BucketObjects {
  readonly bucket: string
  readonly #client: S3Client

  constructor(settings: StoreSettings) {
    this.bucket = settings.bucket
    this.#client = createS3Client(settings)
  }

  /** @throws if the bucket does not exist or cannot be accessed: a missing object then proves nothing */
  async assertBucket(signal: AbortSignal): Promise<void> {
    await this.#client.send(new HeadBucketCommand({ Bucket: this.bucket }), { abortSignal: signal }).catch((error: unknown) => {
      // The response to a HEAD has no body that names the error.
      if (error instanceof NotFound)
        throw new NoSuchBucket({ message: `The bucket ${this.bucket} does not exist`, $metadata: error.$metadata })
      throw error
    })
  }

  /** The size of the object, or undefined if it does not exist. */
  async bytesOf(key: string, signal: AbortSignal): Promise<number | undefined> {
    return (await headObject(this.#client, { Bucket: this.bucket, Key: key }, signal))?.ContentLength
  }

  /**
   * Lists a page of objects whose keys follow `after`, in the order of their keys. A store may end a page early, so only
   * `IsTruncated` shows whether more objects follow. An empty page has no last key, so the page after it is requested by its token.
   * @returns `last`: the key after which the next page starts; absent if this is the last page
   * @throws {ListBroken} if the list does not advance
   */
  async list(after: string | undefined, signal: AbortSignal): Promise<{ objects: ListedObject[]; last?: string }> {
    let token: string | undefined
    for (;;) {
      const page = await this.#listPage(token === undefined ? { StartAfter: after } : { ContinuationToken: token }, signal)
      const objects = (page.Contents ?? []).map(({ Key, Size, LastModified }) => ({
        key: Key!,
        bytes: Size ?? 0,
        since: LastModified ?? new Date(),
      }))
      const last = objects.at(-1)?.key
      if (!page.IsTruncated) return { objects }
      if (last !== undefined && last !== after) return { objects, last }
      const next = page.NextContinuationToken
      if (last !== undefined || next === undefined || next === token)
        throw new ListBroken('The store says that more objects follow, but the list of objects does not advance')
      token = next
    }
  }

  /** Reads the whole object. Returns the SHA-256 of its bytes (hex) and its content type. */
  async read(key: string, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<{ sha256: string; contentType: string }> {
    const { sha256, contentType = 'application/octet-stream' } = await hashObject(
      this.#client,
      { Bucket: this.bucket, Key: key },
      signal,
      onProgress,
    )
    return { sha256, contentType }
  }

  /** Yields the bytes of the object. */
  chunks(key: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    return readObject(this.#client, { Bucket: this.bucket, Key: key }, signal)
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }), { abortSignal: signal })
  }

  #listPage(
    from: { StartAfter: string | undefined } | { ContinuationToken: string },
    signal: AbortSignal,
  ): Promise<ListObjectsV2CommandOutput> {
    return this.#client.send(new ListObjectsV2Command({ Bucket: this.bucket, ...from }), { abortSignal: signal })
  }

  close(): void {
    this.#client.destroy()
  }
}
