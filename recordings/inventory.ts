// What lies in the bucket, looked at after the fact.
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
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
    try {
      const head = await this.#client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key }), { abortSignal: signal })
      return head.ContentLength
    } catch (error) {
      if (error instanceof NotFound || error instanceof NoSuchKey) return undefined
      throw error
    }
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
    const { Body, ContentType } = await this.#client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }), { abortSignal: signal })
    const sha256 = createHash('sha256')
    let bytes = 0
    for await (const chunk of Body as AsyncIterable<Buffer>) {
      sha256.update(chunk)
      onProgress((bytes += chunk.length))
    }
    return { sha256: sha256.digest('hex'), contentType: ContentType ?? 'application/octet-stream' }
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }), { abortSignal: signal })
  }

  close(): void {
    this.#client.destroy()
  }
}
