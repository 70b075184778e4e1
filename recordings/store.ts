// Our S3 bucket. What is said to be stored is confirmed: by size and by a checksum that the server computed.
import { PutObjectCommand, type PutObjectCommandInput, type S3Client } from '@aws-sdk/client-s3'
import { SINGLE_PUT_MAX_BYTES } from './digests.ts'
import { withFileBody } from './file-body.ts'
import { endUploads, putInParts, sweepUploads, tryUpload } from './multipart.ts'
import { hashObject, headObject } from './object-reads.ts'
import { createS3Client, type StoreSettings } from './s3-client.ts'
import { signContent } from './sign-content.ts'
import { classifyStoreError, isConflict, isNotImplemented, ObjectMismatch } from './store-errors.ts'

export interface ObjectToStore {
  key: string
  path: string
  bytes: number
  sha256: string
  /** As S3 will give it, see {@link digestFile}. */
  etag: string
  contentType: string
  metadata: Record<string, string>
}

export interface TransferControl {
  signal: AbortSignal
  onProgress: (bytes: number) => void
  /** Nobody wants the object any more; false while the signal only stops this attempt. */
  isCancelled: () => boolean
}

/** What an upload is tried with; nothing is stored under it. */
const PROBE_KEY = 'recordings/.probe'

export class RecordingStore {
  readonly bucket: string
  readonly #endpoint: string
  readonly #singlePutMaxBytes: number
  readonly #client: S3Client
  #conditions: { IfNoneMatch: '*' } | Record<string, never> = { IfNoneMatch: '*' }
  /** What another object is compared with: the last one that was confirmed. */
  #knownKey = PROBE_KEY

  /** @param singlePutMaxBytes larger files go up in parts */
  constructor(settings: StoreSettings, singlePutMaxBytes = SINGLE_PUT_MAX_BYTES) {
    this.bucket = settings.bucket
    this.#singlePutMaxBytes = singlePutMaxBytes
    this.#endpoint = settings.endpoint
    this.#client = createS3Client(settings)
  }

  urlOf(key: string): string {
    return `${this.#endpoint}/${this.bucket}/${key}`
  }

  /**
   * Stores the file under its key and confirms it. What is there already and equal stays; unequal bytes under our key (a
   * crash of the store, a meddler) are replaced once.
   * @throws {ObjectMismatch} or the SDK's error
   */
  async put(object: ObjectToStore, control: TransferControl): Promise<void> {
    try {
      await this.#send(object, control, this.#conditions)
    } catch (error) {
      if (isNotImplemented(error) && 'IfNoneMatch' in this.#conditions) {
        this.#conditions = {} // this store serves without: HEAD before and after is what we rely on
        return this.put(object, control)
      }
      if (!isConflict(error)) throw error
      if (await this.holds(object, control)) return
      await this.#send(object, control, {})
    }
    if (!(await this.holds(object, control))) throw new ObjectMismatch(`The bucket holds other bytes under ${object.key} than were sent`)
  }

  /** True where the bucket's object has our size and our checksum; where HEAD gives no checksum, its bytes are read back. */
  async holds(
    object: Pick<ObjectToStore, 'key' | 'bytes' | 'sha256' | 'etag'>,
    { signal, onProgress }: Omit<TransferControl, 'isCancelled'>,
  ): Promise<boolean> {
    const holds = await this.#isHeld(object, signal, onProgress)
    if (holds) this.#knownKey = object.key
    return holds
  }

  async #isHeld(
    object: Pick<ObjectToStore, 'key' | 'bytes' | 'sha256' | 'etag'>,
    signal: AbortSignal,
    onProgress: (bytes: number) => void,
  ): Promise<boolean> {
    const place = { Bucket: this.bucket, Key: object.key }
    const head = await headObject(this.#client, place, signal)
    if (!head || head.ContentLength !== object.bytes) return false
    if (head.ETag?.replaceAll('"', '') === object.etag) return true
    if (head.ChecksumSHA256) return Buffer.from(head.ChecksumSHA256, 'base64').toString('hex') === object.sha256
    return (await hashObject(this.#client, place, signal, onProgress)).sha256 === object.sha256
  }

  /**
   * Reads and writes a little, so that a store that can only be read does not pass. Nothing stays.
   * @throws the SDK's error
   */
  async probe(signal: AbortSignal): Promise<void> {
    await headObject(this.#client, { Bucket: this.bucket, Key: this.#knownKey }, signal)
    await tryUpload(this.#client, { Bucket: this.bucket, Key: PROBE_KEY }, signal)
  }

  /**
   * After a refusal: may we read and write other objects? Without the right to list, S3 refuses a HEAD of what is not there,
   * too: until one object is confirmed, that counts as "no".
   */
  async servesOthers(signal: AbortSignal): Promise<boolean> {
    return this.probe(signal).then(
      () => true,
      (error: unknown) => classifyStoreError(error).of === 'service',
    )
  }

  /** For an object that is stored: ends what other attempts have begun to upload under its key. */
  async endUploads(key: string, signal: AbortSignal): Promise<void> {
    await endUploads(this.#client, { Bucket: this.bucket, Key: key }, signal)
  }

  /** @returns how many uploads in parts, begun before `olderThan` and never completed, were ended */
  async sweepUploads(olderThan: Date, signal: AbortSignal): Promise<number> {
    return sweepUploads(this.#client, this.bucket, olderThan, signal)
  }

  close(): void {
    this.#client.destroy()
  }

  async #send(object: ObjectToStore, control: TransferControl, condition: Pick<PutObjectCommandInput, 'IfNoneMatch'>): Promise<void> {
    const common = { Bucket: this.bucket, Key: object.key, ContentType: object.contentType, Metadata: object.metadata }
    if (object.bytes > this.#singlePutMaxBytes) return putInParts(this.#client, common, object, control)
    await withFileBody(object.path, undefined, control.signal, async (Body, abortSignal) => {
      let sent = 0
      Body.on('data', (chunk) => control.onProgress((sent += chunk.length)))
      const ContentMD5 = Buffer.from(object.etag, 'hex').toString('base64')
      const command = new PutObjectCommand({ ...common, ...condition, Body, ContentLength: object.bytes, ContentMD5 })
      await this.#client.send(signContent(command, object.sha256), { abortSignal })
    })
  }
}
