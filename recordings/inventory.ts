// What lies in the bucket, looked at after the fact.
import { DeleteObjectCommand, HeadBucketCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { hashObject, headObject } from './object-reads.ts'
import { createS3Client, type StoreSettings } from './s3-client.ts'

export interface ListedObject {
  key: string
  bytes: number
  /** When it was put there. */
  since: Date
}

export class ObjectInventory {
  readonly bucket: string
  readonly #client: S3Client

  constructor(settings: StoreSettings) {
    this.bucket = settings.bucket
    this.#client = createS3Client(settings)
  }

  /** @throws where the bucket cannot be seen: then nothing can be said of its objects */
  async assertBucket(signal: AbortSignal): Promise<void> {
    await this.#client.send(new HeadBucketCommand({ Bucket: this.bucket }), { abortSignal: signal })
  }

  /** Undefined: there is no such object. */
  async bytesOf(key: string, signal: AbortSignal): Promise<number | undefined> {
    return (await headObject(this.#client, { Bucket: this.bucket, Key: key }, signal))?.ContentLength
  }

  /** Up to 1,000 objects in the order of their keys, those behind `after`. */
  async list(after: string | undefined, signal: AbortSignal): Promise<ListedObject[]> {
    const { Contents = [] } = await this.#client.send(new ListObjectsV2Command({ Bucket: this.bucket, StartAfter: after }), {
      abortSignal: signal,
    })
    return Contents.map(({ Key, Size, LastModified }) => ({ key: Key!, bytes: Size ?? 0, since: LastModified ?? new Date() }))
  }

  /** Its bytes' SHA-256, hex, and its content type. */
  async read(key: string, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<{ sha256: string; contentType: string }> {
    const { sha256, contentType = 'application/octet-stream' } = await hashObject(
      this.#client,
      { Bucket: this.bucket, Key: key },
      signal,
      onProgress,
    )
    return { sha256, contentType }
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }), { abortSignal: signal })
  }

  close(): void {
    this.#client.destroy()
  }
}
