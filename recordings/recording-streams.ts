// Reads parts of stored recordings for listeners, with connections of its own: uploads never wait for listeners.
import { GetObjectCommand, NoSuchKey, NotFound, type S3Client } from '@aws-sdk/client-s3'
import type { Readable } from 'node:stream'
import { headObject } from './object-reads.ts'
import { createS3Client, type StoreSettings } from './s3-client.ts'

interface Place {
  bucket: string
  objectKey: string
}

/** The first and the last byte. */
export interface ByteRange {
  first: number
  last: number
}

/** The bucket has no such object, or one of another size than the row says. */
export class ObjectGone extends Error {}
/** As many listeners as there are connections read at this moment. */
export class StreamsBusy extends Error {}

export class RecordingStreams {
  readonly #client: S3Client
  readonly #most: number
  #open = 0

  /** `connections` is the maximum number of recordings that are read at the same time. */
  constructor(settings: StoreSettings) {
    this.#most = settings.connections
    this.#client = createS3Client(settings)
  }

  /**
   * Requests a part of an object. The stream is destroyed, and its connection is free again, when it ends or `signal` aborts.
   * @param bytes the size of the object
   * @throws {ObjectGone}, {@link StreamsBusy} or the SDK's error
   */
  async read({ bucket, objectKey }: Place, bytes: number, { first, last }: ByteRange, signal: AbortSignal): Promise<Readable> {
    if (this.#open >= this.#most) throw new StreamsBusy('Too many recordings are being listened to')
    this.#open += 1
    const release = (): void => void (this.#open -= 1)
    try {
      const command = new GetObjectCommand({ Bucket: bucket, Key: objectKey, Range: `bytes=${first}-${last}` })
      const { Body, ContentRange } = await this.#client.send(command, { abortSignal: signal })
      const body = Body as Readable // in Node the SDK returns the response itself
      if (ContentRange !== `bytes ${first}-${last}/${bytes}`) {
        body.destroy()
        throw new ObjectGone(`The object ${objectKey} has another size than its row`)
      }
      body.once('close', release)
      signal.addEventListener('abort', () => body.destroy())
      if (signal.aborted) body.destroy()
      return body
    } catch (error) {
      release()
      throw isGone(error) ? new ObjectGone(`The object ${objectKey} is not in the bucket`) : error
    }
  }

  /** @throws {ObjectGone} or the SDK's error */
  async assertExists({ bucket, objectKey }: Place, bytes: number, signal: AbortSignal): Promise<void> {
    const head = await headObject(this.#client, { Bucket: bucket, Key: objectKey }, signal)
    if (!head) throw new ObjectGone(`The object ${objectKey} is not in the bucket`)
    if (head.ContentLength !== bytes) throw new ObjectGone(`The object ${objectKey} has another size than its row`)
  }

  close(): void {
    this.#client.destroy()
  }
}

/** A range outside of the object: it is shorter than its row says. */
function isGone(error: unknown): boolean {
  return error instanceof NoSuchKey || error instanceof NotFound || (error instanceof Error && error.name === 'InvalidRange')
}
